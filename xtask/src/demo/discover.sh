# Writes the targets of Prometheus into the folder $2, as often as its scrapes need; $1 is a kubeconfig.
find_pods() {
    kubectl --kubeconfig "$1" get pods --all-namespaces "$2" -o go-template="$3"
}
sidecars='[{{$comma := ""}}{{range .items}}{{$pod := .}}{{range .spec.initContainers}}{{if and (eq .name "personaguard") $pod.status.podIP}}
{{$comma}}{"targets": ["{{$pod.status.podIP}}:8791"], "labels": {"namespace": "{{$pod.metadata.namespace}}", "pod": "{{$pod.metadata.name}}"}}
{{$comma = ","}}{{end}}{{end}}{{end}}]'
operators='[{{$comma := ""}}{{range .items}}{{if .status.podIP}}
{{$comma}}{"targets": ["{{.status.podIP}}:8080"], "labels": {}}
{{$comma = ","}}{{end}}{{end}}]'
while :; do
    find_pods "$1" --selector= "$sidecars" > "$2/sidecars.new" && mv "$2/sidecars.new" "$2/sidecars.json"
    find_pods "$1" --selector=app.kubernetes.io/name=personaguard-operator "$operators" > "$2/operator.new" && mv "$2/operator.new" "$2/operator.json"
    sleep 3
done

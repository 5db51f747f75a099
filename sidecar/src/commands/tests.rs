use super::*;
use clap::CommandFactory as _;

#[test]
fn what_the_documentation_shows_is_understood() {
    Cli::command().debug_assert();
    for line in [
        "extract --model m.gguf --trait evil --out evil.safetensors",
        "extract --model m.gguf --trait evil --out v --deliver-to https://op:8443 --token-file t \
         --ca-file ca.crt",
        "extract --model m.gguf --trait evil --rollouts 10 --shard 0/4 --out evil.part-0",
        "extract --model m.gguf --trait evil --rollouts 10 --parts evil.part-0 evil.part-1 \
         --out evil.safetensors",
        "screen data.jsonl --model m.gguf --vectors a.safetensors b.safetensors --out ranks.jsonl",
        "merge-ranks a b --out ranks.jsonl --report ranks.html",
        "study --model m.gguf --vectors a.safetensors --out study",
        "calibrate --model m.gguf --vectors a.safetensors --conversations benign.jsonl \
         --out calibrated",
        "verify --base base.gguf --tuned tuned.gguf --vectors a.safetensors",
        "extract --engine http://127.0.0.1:8000 --engine-socket e.sock --trait evil --out v",
        "calibrate --engine http://127.0.0.1:8000 --engine-socket e.sock --engine-model my-lora \
         --vectors a.safetensors --conversations benign.jsonl --out calibrated",
        "screen data.jsonl --engine http://127.0.0.1:8000 --engine-socket e.sock \
         --vectors a.safetensors --out ranks.jsonl",
        "verify --engine http://127.0.0.1:8000 --engine-socket e.sock \
         --tuned-engine-model my-lora --vectors a.safetensors",
        "verify --engine http://127.0.0.1:8000 --engine-socket e.sock \
         --tuned-engine http://127.0.0.1:8001 --tuned-engine-socket f.sock --vectors a",
        "verify --engine http://127.0.0.1:8000 --engine-socket e.sock --tuned t.gguf --vectors a",
        "verify --base ./base --adapter ./my-lora --vectors a.safetensors",
        "serve --config policy --model m.gguf --log-format text",
        "serve --config policy --upstream http://127.0.0.1:8000",
        "serve --config policy --model w/m.gguf --hub-repo acme/tiny --hub-revision main \
         --hub-file m.gguf",
        "fetch acme/tiny --revision main --file m.gguf --to w --hub-max-size 20Gi",
        "fetch acme/tiny --to w --hub-endpoint https://hub.example --hub-proxy http://p:3128",
        "serve --config policy --upstream http://127.0.0.1:8000 --engine-socket e.sock \
         --plugin-dir plugin",
        "plugin --out ./plugin",
        "audit verify audit.jsonl",
        "chat",
        "bench --model m.gguf --threads 2",
    ] {
        let words = std::iter::once("personaguard").chain(line.split(' '));
        assert!(Cli::try_parse_from(words).is_ok(), "{line}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    for line in [
        "extract --trait evil --out v",
        "extract --engine http://e --trait evil --out v",
        "extract --model m.gguf --engine http://e --engine-socket s --trait evil --out v",
        "verify --base b --vectors a",
        "verify --base b --tuned t --adapter l --vectors a",
        "verify --base b --tuned-engine-model l --vectors a",
        "verify --engine http://e --engine-socket s --adapter l --vectors a",
        "verify --engine http://e --engine-socket s --tuned-engine http://f --vectors a",
    ] {
        let words = std::iter::once("personaguard").chain(line.split(' '));
        assert!(Cli::try_parse_from(words).is_err(), "{line}");
    }
}

# Images for users. One target for each: sidecar (the default), operator, chat-app.
#
#   docker build --target operator -t registry.example/personaguard-operator:0.1.0 .
#   docker build --target sidecar  -t registry.example/personaguard:0.1.0 .
#   docker build --target sidecar  --build-arg DEVICE=cuda -t registry.example/personaguard:0.1.0-cuda .
#
# `cargo xtask image` puts the same together without Docker.
ARG DEVICE=cpu
# CUDA of the image. Kernels are PTX, which the node's driver compiles: 13.0 asks for driver 580 or newer.
ARG CUDA=13.0.1

FROM rust:1.95-bookworm AS toolchain-cpu

FROM nvidia/cuda:${CUDA}-devel-ubuntu22.04 AS toolchain-cuda
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential ca-certificates pkg-config \
    && rm -rf /var/lib/apt/lists/*
# The compiler is the other image's own: it asks for no more of a system than glibc 2.17.
COPY --from=toolchain-cpu /usr/local/cargo /usr/local/cargo
COPY --from=toolchain-cpu /usr/local/rustup /usr/local/rustup
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:$PATH
# Compute capability to build kernels for, since no GPU is there at build time: 80 runs on Ampere and newer.
ARG CUDA_COMPUTE_CAP=80
ENV CUDA_COMPUTE_CAP=$CUDA_COMPUTE_CAP

FROM toolchain-${DEVICE} AS build
ARG DEVICE
WORKDIR /src
COPY . .
# Files keep their times, and cargo goes by times: with an older date than the last build's, changed sources would count as built.
RUN --mount=type=cache,target=/usr/local/cargo/registry,id=registry-${DEVICE} \
    --mount=type=cache,target=/src/target,id=target-${DEVICE} \
    if [ "$DEVICE" = cuda ]; then features="--features personaguard/cuda"; fi \
    && find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --release --locked -p personaguard -p personaguard-operator -p chat-app $features \
    && mkdir -p /out/sidecar/bin \
    && cp target/release/personaguard target/release/personaguard-operator target/release/chat-app /out/ \
    && strip --strip-debug /out/personaguard /out/personaguard-operator /out/chat-app
# What the sidecar's image has below /usr/local.
RUN if [ "$DEVICE" = cuda ]; then \
        mkdir -p /out/sidecar/lib/personaguard/no-driver \
        && mv /out/personaguard /out/sidecar/lib/personaguard/ \
        && cp /usr/local/cuda/lib64/stubs/libcuda.so /out/sidecar/lib/personaguard/no-driver/libcuda.so.1 \
        && cp sidecar/cuda.sh /out/sidecar/bin/personaguard; \
    else \
        mv /out/personaguard /out/sidecar/bin/; \
    fi

FROM gcr.io/distroless/cc-debian12:nonroot AS base-cpu
FROM nvidia/cuda:${CUDA}-runtime-ubuntu22.04 AS base-cuda

FROM gcr.io/distroless/cc-debian12:nonroot AS operator
COPY --from=build /out/personaguard-operator /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/personaguard-operator"]

FROM gcr.io/distroless/cc-debian12:nonroot AS chat-app
COPY --from=build /out/chat-app /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/chat-app"]

FROM base-${DEVICE} AS sidecar
COPY --from=build /out/sidecar /usr/local
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/personaguard"]

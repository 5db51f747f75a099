# syntax=docker/dockerfile:1
# Images for users. One target for each: sidecar (the default), operator, chat-app.
#
#   docker build --target operator -t registry.example/personaguard-operator:0.1.0 .
#   docker build --target sidecar  -t registry.example/personaguard:0.1.0 .
#   docker build --target sidecar  --build-arg DEVICE=cuda -t registry.example/personaguard:0.1.0-cuda .
#
# `cargo xtask image` puts the same together without Docker.
ARG DEVICE=cpu

FROM rust:1.95-bookworm AS toolchain-cpu

FROM nvidia/cuda:12.9.1-devel-ubuntu22.04 AS toolchain-cuda
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential ca-certificates curl pkg-config \
    && rm -rf /var/lib/apt/lists/* \
    && curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain 1.95
ENV PATH=/root/.cargo/bin:$PATH
# Compute capability to build kernels for, since no GPU is there at build time: 80 runs on Ampere and newer.
ARG CUDA_COMPUTE_CAP=80
ENV CUDA_COMPUTE_CAP=$CUDA_COMPUTE_CAP

FROM toolchain-${DEVICE} AS build
ARG DEVICE
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.cargo/registry,id=registry-${DEVICE} \
    --mount=type=cache,target=/usr/local/cargo/registry,id=registry-${DEVICE}-system \
    --mount=type=cache,target=/src/target,id=target-${DEVICE} \
    if [ "$DEVICE" = cuda ]; then features="--features personaguard/cuda"; fi \
    && cargo build --release --locked -p personaguard -p personaguard-operator -p chat-app $features \
    && mkdir /out \
    && cp target/release/personaguard target/release/personaguard-operator target/release/chat-app /out/ \
    && strip --strip-debug /out/*

FROM gcr.io/distroless/cc-debian12:nonroot AS base-cpu
FROM nvidia/cuda:12.9.1-runtime-ubuntu22.04 AS base-cuda

FROM gcr.io/distroless/cc-debian12:nonroot AS operator
COPY --from=build /out/personaguard-operator /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/personaguard-operator"]

FROM gcr.io/distroless/cc-debian12:nonroot AS chat-app
COPY --from=build /out/chat-app /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/chat-app"]

FROM base-${DEVICE} AS sidecar
COPY --from=build /out/personaguard /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/personaguard"]

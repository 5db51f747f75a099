#!/bin/sh
# `personaguard` in images for NVIDIA GPUs.
#
# The program is linked to the driver (libcuda.so.1), which the container runtime puts into containers that ask for a GPU, and
# only there. One image serves a cluster, so without a driver NVIDIA's stub takes its place: work on the processor runs, and who
# asks for the GPU is told that there is none. Where a driver is, the stub is not looked at.
home=/usr/local/lib/personaguard
case $(ldd "$home/personaguard") in
*"libcuda.so.1 => not found"*)
    LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$home/no-driver"
    export LD_LIBRARY_PATH
    ;;
esac
exec "$home/personaguard" "$@"

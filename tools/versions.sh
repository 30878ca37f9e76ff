# shellcheck shell=sh
# Sourced by the scripts and read by CMake (NAME=value lines): what is fetched
# from outside, pinned by hash, and the folder where it is kept.
NANOARROW_VERSION=0.9.0
NANOARROW_SHA256=1ce15bbed8532839347faa78824c5dbd3769bff60661003e34c6fba5dd881bd3
NYCFLIGHTS_VERSION=0.0.3
NYCFLIGHTS_SHA256=d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37
GO_VERSION=1.25.0
GO_SUM=h1:wVC9wx2XOcP5gHiN8ZzfyTfjlrDLSS7Hu1wjI01n68U=
JDBC_DRIVER_VERSION=18.3.0
JDBC_DRIVER_SHA256=3f418b46c880e263558c5de669bdbede2c5d4375527ced116fb29f795b03704c
IGLOO_CACHE=${IGLOO_BUILD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/igloo}

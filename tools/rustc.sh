#!/bin/sh
# How cargo calls rustc for our own crate (RUSTC_WORKSPACE_WRAPPER of cargo.sh):
# it may use what is not stable yet; no other crate may. See docs/decisions/0005.
RUSTC_BOOTSTRAP=igloo_bridge exec "$@"

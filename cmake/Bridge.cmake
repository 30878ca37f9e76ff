# bridge/ by cargo: a static library with DataFusion in it. Cargo runs only when
# a source of the bridge changed; its target folder is shared between clones
# (tools/cargo.sh), so the library is hard-linked into this build folder, where
# another clone's build does not change it.
execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/cargo.sh --target-dir
                OUTPUT_VARIABLE IGLOO_CARGO_TARGET_DIR OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/cargo.sh --flags
                OUTPUT_VARIABLE IGLOO_RUSTFLAGS OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bridge/Cargo.lock)

file(GLOB_RECURSE bridge_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bridge/src/*.rs)
set(bridge_library ${CMAKE_BINARY_DIR}/libigloo_bridge.a)
if(IGLOO_LTO)
  set(bridge_environment IGLOO_CARGO_VARIANT=-lto CARGO_PROFILE_RELEASE_LTO=thin)
  set(IGLOO_CARGO_TARGET_DIR ${IGLOO_CARGO_TARGET_DIR}-lto)
endif()
add_custom_command(
  OUTPUT ${bridge_library}
  COMMAND ${CMAKE_COMMAND} -E env ${bridge_environment}
          ${CMAKE_SOURCE_DIR}/tools/cargo.sh build --release --locked
          --manifest-path ${CMAKE_SOURCE_DIR}/bridge/Cargo.toml
  COMMAND sh -c "ln -f \"$1\" \"$2\" 2>/dev/null || cp \"$1\" \"$2\"" link
          ${IGLOO_CARGO_TARGET_DIR}/release/libigloo_bridge.a ${bridge_library}
  COMMAND ${CMAKE_COMMAND} -E touch ${bridge_library}
  DEPENDS ${bridge_sources} ${CMAKE_SOURCE_DIR}/bridge/Cargo.toml ${CMAKE_SOURCE_DIR}/bridge/Cargo.lock
  COMMENT "cargo: bridge/ (17 to 30 minutes the first time, then a minute or two)"
  USES_TERMINAL VERBATIM)
add_custom_target(bridge_build DEPENDS ${bridge_library})

add_library(igloo_bridge STATIC IMPORTED)
set_target_properties(igloo_bridge PROPERTIES IMPORTED_LOCATION ${bridge_library})
target_link_libraries(igloo_bridge INTERFACE m dl pthread)
add_dependencies(igloo_bridge bridge_build)

# bridge/ by cargo: a static library with DataFusion in it. Cargo runs only when
# a source of the bridge changed.
execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/cargo.sh --flags
                OUTPUT_VARIABLE IGLOO_RUSTFLAGS OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bridge/Cargo.lock)

file(GLOB_RECURSE bridge_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bridge/src/*.rs)
set(bridge_library ${CMAKE_BINARY_DIR}/libigloo_bridge.a)
if(IGLOO_LTO)
  set(bridge_environment IGLOO_CARGO_VARIANT=-lto CARGO_PROFILE_RELEASE_LTO=thin)
endif()
if(IGLOO_BRIDGE_FROM)
  # Another build of this checkout has it, and tools/build.sh saw to its being new.
  set(bridge_library ${IGLOO_BRIDGE_FROM}/libigloo_bridge.a)
else()
  add_custom_command(
    OUTPUT ${bridge_library}
    COMMAND ${CMAKE_COMMAND} -E env ${bridge_environment}
            ${CMAKE_SOURCE_DIR}/tools/build-bridge.sh ${bridge_library}
    DEPENDS ${bridge_sources} ${CMAKE_SOURCE_DIR}/bridge/build.rs
            ${CMAKE_SOURCE_DIR}/bridge/Cargo.toml ${CMAKE_SOURCE_DIR}/bridge/Cargo.lock
    COMMENT "cargo: bridge/ (17 to 30 minutes the first time, then two or three)"
    USES_TERMINAL VERBATIM)
endif()
add_custom_target(bridge_build DEPENDS ${bridge_library})

add_library(igloo_bridge STATIC IMPORTED)
set_target_properties(igloo_bridge PROPERTIES IMPORTED_LOCATION ${bridge_library})
target_link_libraries(igloo_bridge INTERFACE m dl pthread)
add_dependencies(igloo_bridge bridge_build)

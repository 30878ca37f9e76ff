# Libraries that the program loads itself when they are first needed (src/base/late.h):
# their headers are used, they are not linked with.

# Compile `target` with <NAME>'s headers and IGLOO_<NAME>_FILE, the file that the loader
# is asked for. <NAME> is as in pkg_check_modules; its first library counts.
function(use_late target name)
  list(GET ${name}_LINK_LIBRARIES 0 library)
  execute_process(COMMAND ${CMAKE_READELF} -d ${library} OUTPUT_VARIABLE dynamic
                  COMMAND_ERROR_IS_FATAL ANY)
  if(NOT dynamic MATCHES "SONAME[^\n]*\\[([^\n]*)\\]")
    message(FATAL_ERROR "${library} has no SONAME")
  endif()
  target_include_directories(${target} SYSTEM PRIVATE ${${name}_INCLUDE_DIRS})
  target_compile_definitions(${target} PRIVATE IGLOO_${name}_FILE="${CMAKE_MATCH_1}")
endfunction()

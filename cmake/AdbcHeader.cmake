# arrow-adbc/adbc.h, from the unpacked source distribution in the cache folder
# (tools/setup.sh puts it there). Nothing else of it is compiled.
set(adbc_root ${IGLOO_CACHE}/adbc-driver-manager-${ADBC_VERSION}/adbc_driver_manager)
if(NOT EXISTS ${adbc_root}/arrow-adbc/adbc.h)
  message(FATAL_ERROR "adbc.h ${ADBC_VERSION} is not in ${IGLOO_CACHE}; run tools/setup.sh")
endif()

# One file of its own: beside it lie headers of C++ that nobody is to find.
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/adbc/arrow-adbc)
configure_file(${adbc_root}/arrow-adbc/adbc.h ${CMAKE_BINARY_DIR}/adbc/arrow-adbc/adbc.h COPYONLY)
add_library(adbc_header INTERFACE)
target_include_directories(adbc_header SYSTEM INTERFACE ${CMAKE_BINARY_DIR}/adbc)

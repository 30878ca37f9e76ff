# The folders under src/, by layer number (the table of ARCHITECTURE.md). A
# folder includes only folders of lower numbers; tools/check-layers.py proves it
# and reads this list.
set(IGLOO_LAYERS
  0:base
  1:files 1:store 1:sql 1:config 1:arrow 1:rpc
  2:catalog 2:auth 2:wire
  3:cache 3:connector
  4:scan
  5:engine
  6:cluster
  7:session
  8:instance
  9:flight 9:console
  10:client
  11:shell 11:adbc
  12:server)

# Folders from this number on reach the engine: their tests load the internal
# shared library, those below link no bridge.
set(IGLOO_ENGINE_LAYER 5)
# libigloo.so holds the folders up to this number.
set(IGLOO_CLIENT_LAYER 10)

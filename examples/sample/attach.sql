-- The SQLite file with airlines and planes is a catalog; nothing is written to it.
ATTACH 'fleet.db' AS fleet (TYPE sqlite, READ_ONLY);

"""The only room that speaks to a server: connections, SQL, catalog, row streams."""

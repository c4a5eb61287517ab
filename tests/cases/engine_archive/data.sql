INSERT INTO t (a) VALUES ('a'), ('b'), (NULL);

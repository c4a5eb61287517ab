CREATE TABLE t (e ENUM('z','a','m') NOT NULL, a INT NOT NULL, v INT, PRIMARY KEY (e, a));

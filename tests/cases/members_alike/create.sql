-- a lax sql_mode lets in members that are one by the collation
CREATE TABLE t (id INT PRIMARY KEY, s SET('a','ä','b') COLLATE utf8mb4_general_ci);
CREATE TABLE u (id INT PRIMARY KEY, e ENUM('x','y','X') CHARACTER SET latin1 COLLATE latin1_swedish_ci);
CREATE TABLE fine (id INT PRIMARY KEY, e ENUM('x','X') COLLATE utf8mb4_bin);

SET sql_generate_invisible_primary_key = ON; CREATE TABLE t (a INT, b VARCHAR(20));

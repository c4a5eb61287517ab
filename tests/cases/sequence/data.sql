DO NEXTVAL(s), NEXTVAL(s), NEXTVAL(down), NEXTVAL(`od``d näme`);
DO NEXTVAL(round), NEXTVAL(round), NEXTVAL(round), NEXTVAL(round), NEXTVAL(round), NEXTVAL(round), NEXTVAL(round);
DO NEXTVAL(ended), NEXTVAL(ended), NEXTVAL(ended);
INSERT INTO beside VALUES (1);

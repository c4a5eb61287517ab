"""Pages to look at: a run, a vault; facts are gathered, drawn and put on one page, apart."""

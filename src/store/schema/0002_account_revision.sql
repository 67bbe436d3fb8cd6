-- Two who change an account at once must not lose one another: each says which revision it has read.
ALTER TABLE accounts ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;

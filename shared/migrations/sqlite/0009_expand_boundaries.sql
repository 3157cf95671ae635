-- What the published windows were computed for: measures, window lengths, tags.
ALTER TABLE boundaries ADD COLUMN shape TEXT;

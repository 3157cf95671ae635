-- What the other detectors said of the reading, as JSON; null of a row that an older build wrote.
ALTER TABLE anomalies ADD COLUMN others TEXT COLLATE "C";

-- How the episode ended that the anomaly opened; null while it is open.
ALTER TABLE anomalies ADD COLUMN episode_ended_at TIMESTAMPTZ;
ALTER TABLE anomalies ADD COLUMN episode_end_offset BIGINT;
ALTER TABLE anomalies ADD COLUMN episode_readings BIGINT;
ALTER TABLE anomalies ADD COLUMN episode_peak_score DOUBLE PRECISION;

-- What the other detectors said of the reading, as JSON; null of a row that an older build wrote.
ALTER TABLE anomalies ADD COLUMN others TEXT;

-- How the episode ended that the anomaly opened; null while it is open.
ALTER TABLE anomalies ADD COLUMN episode_ended_at TEXT;
ALTER TABLE anomalies ADD COLUMN episode_end_offset INTEGER;
ALTER TABLE anomalies ADD COLUMN episode_readings INTEGER;
ALTER TABLE anomalies ADD COLUMN episode_peak_score REAL;

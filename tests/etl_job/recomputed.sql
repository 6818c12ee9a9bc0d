-- The standard week's windows from nothing but its landing files, by rules written a second time, for DuckDB.
-- Tables: files(filename, mtime in microseconds), limits(field, low, high, floor, warning_above, warning_below),
-- window_types(window_type, hours). Instants are microseconds, so that no time zone can interfere.
WITH arrived AS (
    SELECT r.* EXCLUDE (timestamp), epoch_us(r.timestamp) AS t, files.mtime
    FROM read_parquet($landing, filename = true, file_row_number = true) AS r JOIN files USING (filename)
),
kept AS (
    SELECT *, t // 86400000000 AS day, t / 3.6e9 - operating_hours AS ahead
    FROM arrived
    WHERE t <= mtime + 900000000
    QUALIFY row_number() OVER (PARTITION BY compressor_id, t ORDER BY mtime DESC, filename DESC, file_row_number DESC) = 1
),
usual AS (SELECT *, abs(ahead - median(ahead) OVER (PARTITION BY compressor_id, day)) <= 1 AS agrees FROM kept),
clocked AS (
    SELECT *,
        NOT agrees
        AND t > min(t) FILTER (agrees) OVER (PARTITION BY compressor_id, day)
        AND t < max(t) FILTER (agrees) OVER (PARTITION BY compressor_id, day) AS wrong_clock
    FROM usual
),
long AS (
    SELECT compressor_id, t, day, coalesce(wrong_clock, false) AS wrong_clock, field, value
    FROM clocked UNPIVOT INCLUDE NULLS (value FOR field IN (
        vibration_mms, discharge_temp_f, suction_pressure_psi, discharge_pressure_psi, horsepower_consumption, gas_flow_mcf
    ))
),
usable AS (
    SELECT long.*, limits.* EXCLUDE (field),
        CASE WHEN isfinite(value) AND value BETWEEN low AND high THEN value END AS sound
    FROM long JOIN limits USING (field)
),
traced AS (
    SELECT *, count(*) FILTER (new_value) OVER (PARTITION BY compressor_id, field ORDER BY t) AS run
    FROM (
        SELECT *, NOT coalesce(sound = lag(sound) OVER machine AND t - lag(t) OVER machine <= 3600000000, false) AS new_value
        FROM usable WINDOW machine AS (PARTITION BY compressor_id, field ORDER BY t)
    )
),
held AS (
    SELECT *,
        coalesce(sound <> 0 AND count(*) OVER its_run >= 6 AND max(t) OVER its_run - min(t) OVER its_run >= 7200000000, false)
            AS stuck
    FROM traced WINDOW its_run AS (PARTITION BY compressor_id, field, run)
),
beside AS (
    SELECT *,
        CASE WHEN t - lag(t) OVER machine <= 3600000000 THEN lag(moving) OVER machine END AS before,
        CASE WHEN lead(t) OVER machine - t <= 3600000000 THEN lead(moving) OVER machine END AS after
    FROM (SELECT *, CASE WHEN NOT stuck THEN sound END AS moving FROM held)
    WINDOW machine AS (PARTITION BY compressor_id, field ORDER BY t)
),
measured AS (
    SELECT *, moving - (before + after) / 2 AS off,
        4 * greatest(avg(abs(moving - (before + after) / 2)) OVER its_day * sqrt(pi() / 2), floor) AS fence,
        count(moving - (before + after) / 2) OVER its_day AS compared
    FROM beside WINDOW its_day AS (PARTITION BY compressor_id, field, day)
),
judged AS (
    SELECT *,
        sound IS NULL OR coalesce(
            compared >= 12 AND abs(off) > fence AND abs(before - after) <= fence
            AND NOT coalesce(greatest(before, after) > warning_above, false)
            AND NOT coalesce(least(before, after) < warning_below, false),
            false
        ) AS doubted
    FROM measured
),
readings AS (
    SELECT compressor_id, t, bool_or(doubted OR stuck) OR any_value(wrong_clock) AS suspect,
        max(sound) FILTER (field = 'vibration_mms' AND NOT doubted AND NOT wrong_clock) AS vibration,
        max(sound) FILTER (field = 'discharge_temp_f' AND NOT doubted AND NOT wrong_clock) AS temp,
        max(sound) FILTER (field = 'suction_pressure_psi' AND NOT doubted AND NOT wrong_clock) AS suction,
        max(sound) FILTER (field = 'discharge_pressure_psi' AND NOT doubted AND NOT wrong_clock) AS discharge,
        max(sound) FILTER (field = 'horsepower_consumption' AND NOT doubted AND NOT wrong_clock) AS horsepower,
        max(sound) FILTER (field = 'gas_flow_mcf' AND NOT doubted AND NOT wrong_clock) AS flow
    FROM judged GROUP BY compressor_id, t
),
ends AS (SELECT DISTINCT compressor_id, (t // 3600000000 + 1) * 3600000000 AS ended FROM readings)
SELECT ends.compressor_id, window_type, ended AS agg_timestamp,
    avg(vibration) AS vibration_mean, stddev_samp(vibration) AS vibration_std,
    max(vibration) AS vibration_max, min(vibration) AS vibration_min,
    avg(temp) AS discharge_temp_mean, stddev_samp(temp) AS discharge_temp_std, max(temp) AS discharge_temp_max,
    (arg_max(temp, t) FILTER (temp IS NOT NULL) - arg_min(temp, t) FILTER (temp IS NOT NULL))
        / nullif((max(t) FILTER (temp IS NOT NULL) - min(t) FILTER (temp IS NOT NULL)) / 3.6e9, 0)
        AS discharge_temp_rate_of_change,
    avg(suction) AS suction_pressure_mean, stddev_samp(suction) AS suction_pressure_std, min(suction) AS suction_pressure_min,
    avg(discharge) AS discharge_pressure_mean, stddev_samp(discharge) AS discharge_pressure_std,
    max(discharge) AS discharge_pressure_max, avg(discharge - suction) AS pressure_delta_mean,
    avg(horsepower) AS horsepower_mean, stddev_samp(horsepower) AS horsepower_std, avg(flow) AS gas_flow_mean,
    count(*) AS reading_count, greatest(hours * 6 - count(*), 0) AS missing_readings,
    count(*) FILTER (suspect) AS suspect_readings
FROM ends CROSS JOIN window_types JOIN readings
    ON readings.compressor_id = ends.compressor_id AND t >= ended - hours * 3600000000 AND t < ended
GROUP BY ends.compressor_id, window_type, hours, ended
ORDER BY ends.compressor_id, window_type, ended

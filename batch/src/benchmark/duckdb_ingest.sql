COPY (
    SELECT
        strptime(Date || ' ' || Time, '%d/%m/%Y %H:%M:%S') AS ts,
        Global_active_power,
        Global_reactive_power,
        Voltage,
        Global_intensity,
        Sub_metering_1,
        Sub_metering_2,
        Sub_metering_3
    FROM read_csv(
        '../input.csv', delim = ';', header = true, nullstr = ['?', ''],
        types = {
            'Date': 'VARCHAR', 'Time': 'VARCHAR', 'Global_active_power': 'DOUBLE', 'Global_reactive_power': 'DOUBLE',
            'Voltage': 'DOUBLE', 'Global_intensity': 'DOUBLE', 'Sub_metering_1': 'DOUBLE', 'Sub_metering_2': 'DOUBLE',
            'Sub_metering_3': 'DOUBLE'
        }
    )
) TO 'readings.parquet' (FORMAT parquet, COMPRESSION zstd);

package peers;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.api.common.JobExecutionResult;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.common.accumulators.LongCounter;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * What the grid system does: from a topic that is full already, JSON readings, the moving average of the last 10 voltages of each
 * meter in keyed heap state, and each voltage above 250 V as JSON, with that average, to another topic. Local mini cluster, at
 * least once, no checkpoints, object reuse on: as little as Flink can do. It writes no lake and no views.
 *
 * <p>Arguments: BOOTSTRAP IN_TOPIC OUT_TOPIC PARALLELISM. Prints one RESULT line.
 */
public final class SpeedJob {
  private static final double LIMIT_VOLTS = 250;
  private static final int WINDOW_READINGS = 10;

  /** One reading; public fields make it a Flink POJO. */
  public static class Reading {
    public String meter;
    public long timestamp;
    public double voltage;
  }

  static final class Parse extends RichMapFunction<String, Reading> {
    private transient ObjectMapper json;

    @Override
    public void open(OpenContext context) {
      json = new ObjectMapper();
    }

    @Override
    public Reading map(String text) throws Exception {
      JsonNode node = json.readTree(text);
      Reading reading = new Reading();
      reading.meter = node.get("meterId").asText();
      reading.timestamp = node.get("timestamp").asLong();
      reading.voltage = node.get("voltage").asDouble();
      return reading;
    }
  }

  static final class MovingAverage extends KeyedProcessFunction<String, Reading, String> {
    private final LongCounter in = new LongCounter();
    private final LongCounter flagged = new LongCounter();
    private transient ValueState<double[]> last; // [count, next, sum, values...]
    private transient ObjectMapper json;

    @Override
    public void open(OpenContext context) {
      last = getRuntimeContext().getState(new ValueStateDescriptor<>("last", double[].class));
      json = new ObjectMapper();
      getRuntimeContext().addAccumulator("in", in);
      getRuntimeContext().addAccumulator("flagged", flagged);
    }

    @Override
    public void processElement(Reading reading, Context context, Collector<String> out) throws Exception {
      double[] window = last.value();
      if (window == null) {
        window = new double[3 + WINDOW_READINGS];
      }
      int at = (int) window[1];
      if (window[0] == WINDOW_READINGS) {
        window[2] -= window[3 + at];
      } else {
        window[0]++;
      }
      window[3 + at] = reading.voltage;
      window[2] += reading.voltage;
      window[1] = (at + 1) % WINDOW_READINGS;
      last.update(window);
      in.add(1);
      if (reading.voltage > LIMIT_VOLTS) {
        flagged.add(1);
        ObjectNode anomaly = json.createObjectNode();
        anomaly.put("meterId", reading.meter).put("timestamp", reading.timestamp).put("voltage", reading.voltage);
        anomaly.put("movingAverage", window[2] / window[0]);
        out.collect(json.writeValueAsString(anomaly));
      }
    }
  }

  public static void main(String[] args) throws Exception {
    long start = System.nanoTime();
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(Integer.parseInt(args[3]));
    env.setRuntimeMode(RuntimeExecutionMode.STREAMING);
    env.getConfig().enableObjectReuse();
    KafkaSource<String> source =
        KafkaSource.<String>builder()
            .setBootstrapServers(args[0])
            .setTopics(args[1])
            .setGroupId("flink-peer")
            .setStartingOffsets(OffsetsInitializer.earliest())
            .setBounded(OffsetsInitializer.latest())
            .setValueOnlyDeserializer(new SimpleStringSchema(StandardCharsets.UTF_8))
            .build();
    KafkaSink<String> sink =
        KafkaSink.<String>builder()
            .setBootstrapServers(args[0])
            .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
            .setRecordSerializer(
                KafkaRecordSerializationSchema.builder().setTopic(args[2]).setValueSerializationSchema(new SimpleStringSchema()).build())
            .build();
    DataStream<String> text = env.fromSource(source, WatermarkStrategy.noWatermarks(), "kafka");
    text.map(new Parse()).keyBy(reading -> reading.meter).process(new MovingAverage()).sinkTo(sink);
    JobExecutionResult done = env.execute("speed");
    double run = (System.nanoTime() - start) / 1e9;
    long events = done.<Long>getAccumulatorResult("in");
    System.out.printf(
        "RESULT {\"run_s\": %.3f, \"job_s\": %.3f, \"messages\": %d, \"flagged\": %d, \"peak_mb\": %d}%n",
        run, done.getNetRuntime() / 1e3, events, done.<Long>getAccumulatorResult("flagged"), peakMb());
    System.exit(0);
  }

  private static long peakMb() throws Exception {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmHWM")) {
        return Long.parseLong(line.replaceAll("[^0-9]", "")) / 1024;
      }
    }
    return 0;
  }

  private SpeedJob() {}
}

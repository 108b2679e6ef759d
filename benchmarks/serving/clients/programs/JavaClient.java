// Java's client: java JavaClient.java BASE MODEL N BODY prints the last answer.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;

public class JavaClient {
    public static void main(String[] words) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        byte[] body = Files.readAllBytes(Path.of(words[3]));
        HttpRequest request = HttpRequest.newBuilder()
            .uri(URI.create(words[0] + "/models/" + words[1] + "/predict"))
            .header("content-type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofByteArray(body))
            .build();
        String answer = "";
        for (int i = 0; i < Integer.parseInt(words[2]); i++) {
            HttpResponse<String> got = client.send(request, HttpResponse.BodyHandlers.ofString());
            if (got.statusCode() != 200) throw new IllegalStateException(got.body());
            answer = got.body();
        }
        System.out.println(answer);
    }
}

<?php
// PHP's curl: client.php BASE MODEL N BODY prints the last answer.
[, $base, $model, $n, $file] = $argv;
$curl = curl_init("$base/models/$model/predict");
curl_setopt_array($curl, [
    CURLOPT_POSTFIELDS => file_get_contents($file),
    CURLOPT_HTTPHEADER => ["content-type: application/json"],
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_FAILONERROR => true,
]);
for ($i = 0; $i < (int) $n; $i++) {
    $answer = curl_exec($curl);
    if ($answer === false) exit(curl_error($curl) . "\n");
}
echo $answer, "\n";

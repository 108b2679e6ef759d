# Ruby's Net::HTTP: client.rb BASE MODEL N BODY prints the last answer.
require "net/http"

base, model, n, file = ARGV
uri = URI("#{base}/models/#{model}/predict")
body = File.read(file)
answer = nil
Net::HTTP.start(uri.host, uri.port) do |http|
  n.to_i.times do
    answer = http.post(uri.path, body, "content-type" => "application/json")
    answer.value # raises unless 2xx
  end
end
puts answer.body

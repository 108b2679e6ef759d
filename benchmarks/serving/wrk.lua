-- wrk's part: POST the bodies of a file in turn, and end with the figures as one line of JSON.
-- With "real" as the second argument each request has a head of its own: the headers of httpx
-- and of a load balancer, a trace, a request id, a cookie, and one of 100,000 users. A third
-- argument is the API key.
local N_REAL_REQUESTS, N_USERS = 20000, 100000
local requests, turn = {}, 0

local function hex(digits)
  local text = {}
  for i = 1, digits do
    text[i] = string.format("%x", math.random(0, 15))
  end
  return table.concat(text)
end

local function real_headers()
  local trace = hex(32)
  return {
    ["accept"] = "*/*",
    ["accept-encoding"] = "gzip, deflate, zstd",
    ["connection"] = "keep-alive",
    ["content-type"] = "application/json",
    ["cookie"] = "session=" .. hex(24),
    ["traceparent"] = "00-" .. trace .. "-" .. hex(16) .. "-01",
    ["user-agent"] = "python-httpx/0.28.1",
    ["x-amzn-trace-id"] = "Root=1-" .. hex(8) .. "-" .. hex(24),
    ["x-forwarded-for"] = string.format("10.%d.%d.%d", math.random(0, 255), math.random(0, 255), math.random(1, 254)),
    ["x-forwarded-proto"] = "https",
    ["x-request-id"] = hex(32),
    ["x-user-id"] = "user-" .. math.random(1, N_USERS),
  }
end

function init(args)
  local bodies = {}
  for line in io.lines(args[1]) do
    bodies[#bodies + 1] = line
  end
  local key = args[3] and args[3] ~= "" and "Bearer " .. args[3] or nil
  local n = args[2] == "real" and N_REAL_REQUESTS or #bodies
  for i = 1, n do
    local headers = args[2] == "real" and real_headers() or { ["content-type"] = "application/json" }
    headers["authorization"] = key
    requests[i] = wrk.format("POST", nil, headers, bodies[(i - 1) % #bodies + 1])
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency, _)
  local errors = summary.errors
  print(string.format(
    '{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,"bad_statuses":%d,"broken":%d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end

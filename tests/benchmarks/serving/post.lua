-- wrk's requests: `folder` holds 1.body, 1.headers, 2.body, ...; they are sent in turn.
-- With `think`, each connection rests before a request for so many milliseconds on average, exponentially distributed:
-- a paced load, whose requests come independently of each other.
local requests, turn = {}, 0

local function content(path)
  local file = assert(io.open(path, "rb"))
  local found = file:read("*a")
  file:close()
  return found
end

function init(args)
  local folder, count, think = args[1], tonumber(args[2]), tonumber(args[3])
  for number = 1, count do
    local headers = {}
    for line in io.lines(folder .. "/" .. number .. ".headers") do
      local name, value = line:match("^([^:]+): (.*)$")
      headers[name] = value
    end
    requests[number] = wrk.format("POST", wrk.path, headers, content(folder .. "/" .. number .. ".body"))
  end
  if think > 0 then
    math.randomseed(os.time())
    delay = function() return math.floor(-think * math.log(1 - math.random()) + 0.5) end
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d,"max":%d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end

-- Requests for wrk: KIND and what it needs as arguments behind `--`; see catalogue.py. Each thread has numbers of its own.
local threads = 0

function setup(thread)
   thread:set("number", threads * 100000000)
   threads = threads + 1
end

function init(args)
   kind, count, seed = args[1], tonumber(args[2]), args[3]
   headers = { ["Content-Type"] = "application/json" }
   if args[4] and args[4] ~= "" then headers["Authorization"] = "Bearer " .. args[4] end
   template, method = args[5], args[6]
   math.randomseed(number + 7)
end

-- NUMBER is one that was never used before; PLACE is one of COUNT; PACKAGE one of 4000.
function request()
   number = number + 1
   local text = template
   local values = { NUMBER = seed .. "-" .. number, PLACE = string.format("%06d", math.random(0, count - 1)),
                    PACKAGE = string.format("%04d", math.random(0, 3999)) }
   text = string.gsub(text, "{(%u+)}", values)
   if method == "POST" then
      local path, body = string.match(text, "^(%S+) (.*)$")
      return wrk.format("POST", path, headers, body)
   end
   return wrk.format("GET", text, headers)
end

function done(summary, latency, requests)
   io.write(string.format('RESULT {"requests": %d, "seconds": %f, "failed": %d, "p50_ms": %f, "p99_ms": %f}\n',
      summary.requests, summary.duration / 1e6, summary.errors.status + summary.errors.connect + summary.errors.read
      + summary.errors.timeout, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end

-- Commits a batch of writes of orders: each whole or not at all, each once for ever.
--
-- A write either begins an order, whose id must be new, or follows a version
-- of it that must be the present one: of two that follow the same version,
-- a cancel and a trigger say, the first wins.
--
-- KEYS  1 trade stream, 2 reject stream, 3 order stream, 4 fence,
--       5 stop stream, 6 resting stops,
--       then two for each order: its hash, its position.
-- ARGV  1 when to write the fence: '' never, 'stored' if a record answers an
--       order, 'always'; then WIDTH for each order, in the order of the
--       names below.
--
-- Answers one item for each order:
--   1                                      committed
--   {2, payload, report, resting}          the id was there, or is at another
--                                          version: its record
--   {3, version, qty, entry_cost,
--       realized_pnl, entry_price}         the position is not the basis: it is this
--   {4, error}                             Redis refuses this order
--
-- Redis does not roll back, so every read, check and comparison comes before
-- the first write. No amount is ever computed here: a Lua number is a double.
-- Text is compared and copied.

local PAYLOAD, REPORT = 1, 2
local STATUS, EXECUTED_QTY, REMAINING_QTY, AVG_PRICE, USER, SYMBOL = 3, 4, 5, 6, 7, 8
local SIDE, QTY, TRADE_ID, REASON, VERSION, TS = 9, 10, 11, 12, 13, 14
local TRADE, TIMESTAMP, REJECT = 15, 16, 17
local BASIS_VERSION, BASIS_QTY, BASIS_COST, BASIS_PNL = 18, 19, 20, 21
local NEW_VERSION, NEW_QTY, NEW_PRICE, NEW_COST, NEW_PNL = 22, 23, 24, 25, 26
-- '' for an order that never rests, so that it pays for one comparison; else
-- its id, the version it follows or '', and its resting text or '', with spaces
-- between them.
local STOP = 27
local WIDTH = 27
local SHARED = 6
local FENCE_MS = '60000'
local STOP_CHANGES_KEPT = '100000'

local KEYS, ARGV, call, try = KEYS, ARGV, redis.call, redis.pcall
local TRADES, REJECTS, ORDERS, FENCE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local STOPS, STOPS_RESTING = KEYS[5], KEYS[6]
local COMMITTED, STORED, CONFLICT, REFUSED = 1, 2, 3, 4

local count = (#KEYS - SHARED) / 2

local function order_key(i) return KEYS[SHARED - 1 + 2 * i] end
local function position_key(i) return KEYS[SHARED + 2 * i] end
-- Added to the names above it gives an argument of order i.
local function offset(i) return 1 + WIDTH * (i - 1) end

-- By the number of the order: {order_id, follows, resting}, for those that
-- rest after this write or may have rested before it.
local stops = {}
for i = 1, count do
  local stop = ARGV[offset(i) + STOP]
  if stop ~= '' then stops[i] = {string.match(stop, '^(%S+) (%d*) (.*)$')} end
end
-- What only such orders need is asked for only if there are any.
local any_stops = next(stops) ~= nil

-- `try` answers an error as a table with `err`; no value read here has one.
local function error_in(reply)
  return type(reply) == 'table' and reply.err or nil
end

-- A right that is missing would otherwise show half-way through the writes.
local function rights_error()
  local allowed = redis.acl_check_cmd
  if not allowed then return nil end
  for i = 1, 3 do
    if not (allowed('TYPE', KEYS[i]) and allowed('XADD', KEYS[i], '*', 'f', 'v')) then
      return 'NOPERM no right to TYPE or XADD on ' .. KEYS[i]
    end
  end
  for i = SHARED + 1, math.min(#KEYS, SHARED + 2) do
    if not (allowed('HMGET', KEYS[i], 'f') and allowed('HSET', KEYS[i], 'f', 'v')) then
      return 'NOPERM no right to HMGET or HSET on ' .. KEYS[i]
    end
  end
  if ARGV[1] ~= '' and not allowed('SET', FENCE, '', 'PX', FENCE_MS) then
    return 'NOPERM no right to SET ' .. FENCE
  end
  if not any_stops then return nil end
  if not (allowed('TYPE', STOPS) and allowed('XADD', STOPS, '*', 'f', 'v')) then
    return 'NOPERM no right to TYPE or XADD on ' .. STOPS
  end
  if not (allowed('TYPE', STOPS_RESTING) and allowed('HSET', STOPS_RESTING, 'f', 'v')
      and allowed('HDEL', STOPS_RESTING, 'f')) then
    return 'NOPERM no right to TYPE, HSET or HDEL on ' .. STOPS_RESTING
  end
end

local function type_error(key, wanted)
  local kind = try('TYPE', key)
  local err = error_in(kind)
  if err then return err end
  if kind.ok ~= 'none' and kind.ok ~= wanted then
    return 'WRONGTYPE ' .. key .. ' is a ' .. kind.ok .. ', not a ' .. wanted
  end
end

local function shared_type_error()
  for i = 1, 3 do
    local err = type_error(KEYS[i], 'stream')
    if err then return err end
  end
  if any_stops then return type_error(STOPS, 'stream') or type_error(STOPS_RESTING, 'hash') end
end

-- By key, as they will be once the orders decided so far are written.
local records = {}
local positions = {}

-- Reads a record: {payload, report, version, resting}, or {} if there is none,
-- or nil and why not. A new order, the usual case, pays for one read.
local function read_record(key)
  local reply = try('HMGET', key, 'payload', 'report', 'status')
  local err = error_in(reply)
  if err then return nil, err .. ' (' .. key .. ')' end
  if reply[1] and reply[2] then
    local more = call('HMGET', key, 'version', 'resting')
    return {reply[1], reply[2], more[1] or '', more[2] or ''}
  end
  if reply[1] or reply[2] or reply[3] then
    return nil, 'CORRUPT ' .. key .. ' is not a whole record of an order'
  end
  return {}
end

-- Reads {version, qty, entry_cost, realized_pnl, entry_price}, or nil and why not.
local function read_position(key)
  local reply = try('HMGET', key,
    'version', 'qty', 'entry_cost', 'realized_pnl', 'entry_price')
  local err = error_in(reply)
  if err then return nil, err .. ' (' .. key .. ')' end
  local found = 0
  for i = 1, 5 do if reply[i] then found = found + 1 end end
  if found == 5 then return reply end
  if found == 0 then return {'0', '0', '0', '0', ''} end
  return nil, 'CORRUPT ' .. key .. ' is not a whole position'
end

local function read_all()
  for i = 1, count do
    local key = order_key(i)
    if records[key] == nil then
      local record, err = read_record(key)
      records[key] = {found = record, err = err}
    end
    key = position_key(i)
    if positions[key] == nil and ARGV[offset(i) + BASIS_VERSION] ~= '' then
      local position, err = read_position(key)
      positions[key] = {now = position, err = err}
    end
  end
end

local function rests_on(at, now)
  return now[1] == ARGV[at + BASIS_VERSION] and now[2] == ARGV[at + BASIS_QTY]
    and now[3] == ARGV[at + BASIS_COST] and now[4] == ARGV[at + BASIS_PNL]
end

-- The answer for one order; what it will write is seen by those after it.
local function decide(i)
  local at = offset(i)
  local record = records[order_key(i)]
  if record.err then return {REFUSED, record.err} end
  local found, follows, resting = record.found, '', ''
  if stops[i] then follows, resting = stops[i][2], stops[i][3] end
  if follows ~= '' and not found[1] then
    return {REFUSED, 'LOST ' .. order_key(i) .. ' is not there, but was at version ' .. follows}
  end
  if found[1] and (follows == '' or found[3] ~= follows) then
    return {STORED, found[1], found[2], found[4]}
  end
  if ARGV[at + BASIS_VERSION] ~= '' then
    local position = positions[position_key(i)]
    if position.err then return {REFUSED, position.err} end
    if not rests_on(at, position.now) then return {CONFLICT, unpack(position.now)} end
    if ARGV[at + NEW_VERSION] ~= '' then
      position.now = {ARGV[at + NEW_VERSION], ARGV[at + NEW_QTY], ARGV[at + NEW_COST],
        ARGV[at + NEW_PNL], ARGV[at + NEW_PRICE]}
    end
  end
  record.found = {found[1] or ARGV[at + PAYLOAD], ARGV[at + REPORT],
    ARGV[at + VERSION], resting}
  return COMMITTED
end

-- Adds an entry; on failure takes back the order's entries so far, answers why.
local function publish(entries, stream, ...)
  local id = try('XADD', stream, ...)
  local err = error_in(id)
  if not err then
    entries[#entries + 1] = {stream, id}
    return nil
  end
  for _, entry in ipairs(entries) do try('XDEL', entry[1], entry[2]) end
  return err .. ' (' .. stream .. ')'
end

-- What rests now, in the order's hash and in the index of all that rest.
local function write_resting(i)
  local order_id, resting = stops[i][1], stops[i][3]
  call('HSET', order_key(i), 'resting', resting)
  if resting ~= '' then
    call('HSET', STOPS_RESTING, order_id, resting)
  else
    call('HDEL', STOPS_RESTING, order_id)
  end
end

-- Streams first: after the checks above, adding to one is all that can still
-- fail (memory, a read-only replica, an exhausted stream), and it can be undone.
local function write(i)
  local at = offset(i)
  local entries = {}
  local err
  if ARGV[at + TRADE] ~= '' then
    err = publish(entries, TRADES, '*', 'trade', ARGV[at + TRADE], 'symbol', ARGV[at + SYMBOL],
      'price', ARGV[at + AVG_PRICE], 'quantity', ARGV[at + EXECUTED_QTY],
      'timestamp', ARGV[at + TIMESTAMP])
    if err then return err end
  end
  if ARGV[at + REJECT] ~= '' then
    err = publish(entries, REJECTS, '*', 'reject', ARGV[at + REJECT])
    if err then return err end
  end
  err = publish(entries, ORDERS, '*', 'order', ARGV[at + REPORT])
  if err then return err end
  if stops[i] then
    -- The last entry: trimming an older one away could not be undone.
    err = publish(entries, STOPS, 'MAXLEN', '~', STOP_CHANGES_KEPT, '*',
      'order_id', stops[i][1], 'stop', stops[i][3])
    if err then return err end
    write_resting(i)
  end
  call('HSET', order_key(i),
    'status', ARGV[at + STATUS], 'executed_qty', ARGV[at + EXECUTED_QTY],
    'remaining_qty', ARGV[at + REMAINING_QTY], 'avg_price', ARGV[at + AVG_PRICE],
    'user', ARGV[at + USER], 'symbol', ARGV[at + SYMBOL], 'side', ARGV[at + SIDE],
    'qty', ARGV[at + QTY], 'trade_id', ARGV[at + TRADE_ID], 'reason', ARGV[at + REASON],
    'version', ARGV[at + VERSION], 'ts', ARGV[at + TS],
    'payload', records[order_key(i)].found[1], 'report', ARGV[at + REPORT])
  if ARGV[at + NEW_VERSION] ~= '' then
    call('HSET', position_key(i),
      'qty', ARGV[at + NEW_QTY], 'entry_price', ARGV[at + NEW_PRICE],
      'entry_cost', ARGV[at + NEW_COST], 'realized_pnl', ARGV[at + NEW_PNL],
      'version', ARGV[at + NEW_VERSION])
  end
end

local err = rights_error() or shared_type_error()
if err then return redis.error_reply(err) end
read_all()
local answers = {}
for i = 1, count do answers[i] = decide(i) end

local fence = ARGV[1] == 'always'
for i = 1, count do
  if err then
    -- What follows may rest on what was not written.
    answers[i] = {REFUSED, err}
  elseif answers[i] == COMMITTED then
    err = write(i)
    if err then answers[i] = {REFUSED, err} end
  elseif ARGV[1] == 'stored' and answers[i][1] == STORED then
    -- WAIT confirms writes of its own connection only, and a record found was
    -- written by another: without a write here it would answer at once.
    fence = true
  end
end
if fence and not err then
  local reply = try('SET', FENCE, '', 'PX', FENCE_MS)
  if error_in(reply) then return redis.error_reply(reply.err) end
end
return answers

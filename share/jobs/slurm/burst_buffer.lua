-- SPDX-License-Identifier: BSD-3-Clause
--
-- Stages before a job and drains after it, for jobs that only say what:
--
--   #BB_LUA ebt stage=/scratch/me/env stage=/scratch/me/input drain=/scratch/me/results.%j
--   "$EBT_STORE/env/bin/application" --output="$EBT_STORE/out"
--
-- stage= may come several times or not at all, drain= once or not at all; %j is the job's
-- number; conflict= is ebt-drain's. The job finds its store in EBT_STORE and leaves outputs
-- below $EBT_STORE/out. This also drains after a job that was killed or ran into its limit.
--
-- For slurm.conf: BurstBufferType=burst_buffer/lua, Prolog= and Epilog= as the scripts beside
-- this file. It lies beside slurm.conf as burst_buffer.lua. In burst_buffer.conf OtherTimeout=
-- (300 s) bounds each of the two, pre_run and post_run.
--
-- Everything runs on the node of slurmctld, as SlurmUser. Slurm stages in (slurm_bb_data_in)
-- before it has chosen nodes, which is of no use to node-local stores. So:
--
--   job_process  submission: refuses directives that are wrong
--   pre_run      nodes are chosen and the job waits: stores are made, ebt-stage fills them
--   post_run     the job has ended: ebt-drain. Nodes whose Epilog has ended are free for other
--                jobs meanwhile, so epilog.sh waits for the mark that pre_run made to go
--
-- mpiexec starts as root and reaches the nodes by ssh as root. On each node the commands run
-- as the job's user; only prolog.sh and the marks need root. A SlurmUser that is not root
-- needs a rule of sudo for mpiexec, which amounts to root on all nodes.
-- Run under Slurm 22.05.

-- To be adapted. `base` is the same in prolog.sh and epilog.sh.
local base = "/local/ebt"
local scripts = "/usr/local/share/ebt/jobs/slurm"
local launch = {"env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin", "mpiexec", "-launcher", "ssh"}

local conflicts = {auto = true, error = true, merge = true, newest = true, suffix = true}

-- One word for sh.
local function quote(word)
	return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function join(...)
	local all = {}
	for _, list in ipairs({...}) do
		for _, word in ipairs(list) do
			all[#all + 1] = word
		end
	end
	return all
end

-- Runs words, never a line: whether it went well, and all that it said. Lua 5.1 does not tell
-- the status of what popen() ran, hence the last line.
local function run(words)
	local quoted = {}
	for i, word in ipairs(words) do
		quoted[i] = quote(word)
	end
	local pipe = io.popen(table.concat(quoted, " ") .. " </dev/null 2>&1; echo \"=$?\"")
	if not pipe then
		return false, words[1] .. ": cannot be started"
	end
	local said, status = pipe:read("*a"):match("^(.*)=(%d+)\n$")
	pipe:close()
	return status == "0", said or ""
end

-- Absolute, of harmless letters, without "..": paths of other kinds are refused, not quoted.
local function is_path(text)
	return text:match("^/[%w%._/+=@:,%-]*[%w%._+=@:,%-]$") and #text < 1024
		and not (text .. "/"):find("/../", 1, true)
end

-- What the script asks for: nil and why if that is wrong, nil alone if it asks for nothing.
local function directives(job_script)
	local file = io.open(job_script)
	if not file then
		return nil, "the job script cannot be read"
	end
	local asked, wrong
	for line in file:lines() do
		local rest = line:match("^#BB_LUA%s+ebt%s+(.*)$") or line:match("^#BB_LUA%s+ebt$") and ""
		if rest then
			asked = asked or {stage = {}}
			for word in rest:gmatch("%S+") do
				local name, value = word:match("^(%l+)=(.*)$")
				if name == "stage" and is_path(value) then
					table.insert(asked.stage, value)
				elseif name == "drain" and not asked.drain and is_path((value:gsub("%%j", "0"))) then
					asked.drain = value
				elseif name == "conflict" and conflicts[value] then
					asked.conflict = value
				else
					wrong = "#BB_LUA ebt: not understood: " .. word:gsub("[^%w%p]", "?")
				end
			end
		end
	end
	file:close()
	if not wrong and asked and #asked.stage == 0 and not asked.drain then
		wrong = "#BB_LUA ebt: neither stage= nor drain="
	end
	return not wrong and asked or nil, wrong
end

-- Nodes and user of a job. What the user may have named never takes part: squeue gives numbers
-- alone, and a second NodeList, which a job's name could hold, is refused.
local function job_of(id)
	if not id:match("^%d+$") then
		return nil
	end
	local ok, numbers = run({"squeue", "-h", "-t", "all", "-j", id, "-o", "%U %G"})
	local uid, gid = numbers:match("^(%d+) (%d+)\n$")
	local ok2, shown = run({"scontrol", "show", "job", id})
	local nodes, more
	for list in shown:gmatch("\n   NodeList=(%S+)") do
		nodes, more = list, nodes
	end
	if not (ok and ok2 and uid and nodes) or more or not nodes:match("^[%w%[%],._-]+$") then
		return nil
	end
	local ok3, names = run({"scontrol", "show", "hostnames", nodes})
	local list = {}
	for name in names:gmatch("[^\n]+") do
		list[#list + 1] = name
	end
	if not ok3 or #list == 0 then
		return nil
	end
	return {id = id, uid = uid, gid = gid, hosts = list, store = base .. "/" .. id}
end

local function on_nodes(job, words, hosts)
	hosts = hosts or job.hosts
	return run(join(launch, {"-hosts", table.concat(hosts, ","), "-ppn", "1",
		"-n", tostring(#hosts)}, words))
end

local function as_user(job, words, hosts)
	return on_nodes(job, join({"setpriv", "--reuid=" .. job.uid, "--regid=" .. job.gid,
		"--init-groups", "--inh-caps=-all"}, words), hosts)
end

-- As as_user with what makes the file given, on the first node: a launcher that is stopped
-- before it has begun may say 0. What cannot be told by a status is not asked by one either.
local function proven(job, words, file)
	local first = {job.hosts[1]}
	local ok, said = as_user(job, {"rm", "-f", file}, first)
	if ok then
		-- A status of 4 says that some outputs have another name: all are there.
		local done
		done, said = as_user(job, words)
		local _, proof = as_user(job, {"cat", file}, first)
		ok = proof:find('"type":"done"', 1, true) ~= nil
		if done and not ok then
			said = "nothing proves that all was done"
		end
	end
	return ok, said
end

local function mark(job, kind)
	return base .. "/." .. kind .. "." .. job.id
end

-- The log of slurmctld has all. Slurm 22.05 holds the job and tells its user only which of the
-- functions failed.
local function failed(job_id, what, said)
	slurm.log_error("ebt: job %s: %s: %s", job_id, what, said)
	return slurm.ERROR, what .. ": " .. (said:match("([^\n]*)\n*$") or "")
end

function slurm_bb_job_process(job_script)
	local _, wrong = directives(job_script)
	if wrong then
		return slurm.ERROR, wrong
	end
	return slurm.SUCCESS
end

-- Called with locks held: no commands here.
function slurm_bb_paths(job_id, job_script, path_file)
	if not directives(job_script) then
		return slurm.SUCCESS
	end
	local file = io.open(path_file, "w")
	if not file then
		return slurm.ERROR, "ebt: no environment for the job"
	end
	file:write("EBT_STORE=" .. base .. "/" .. job_id .. "\n")
	file:close()
	return slurm.SUCCESS
end

function slurm_bb_pre_run(job_id, job_script)
	local asked = directives(job_script)
	if not asked then
		return slurm.SUCCESS
	end
	local job = job_of(job_id)
	if not job then
		return failed(job_id, "ebt-stage", "nodes of the job are not known")
	end
	local ok, said = on_nodes(job, {"env", "SLURM_JOB_ID=" .. job.id, "SLURM_JOB_UID=" .. job.uid,
		"SLURM_JOB_GID=" .. job.gid, scripts .. "/prolog.sh"})
	if not ok then
		return failed(job_id, "prolog.sh", said)
	end
	if #asked.stage > 0 then
		-- A job that runs again may find what the first time left.
		ok, said = as_user(job, join({"ebt-stage", "--overwrite=update"}, asked.stage, {job.store}))
		if not ok then
			return failed(job_id, "ebt-stage", said)
		end
	end
	if asked.drain then
		ok, said = on_nodes(job, {"touch", mark(job, "drain")})
		if not ok then
			return failed(job_id, "mark", said)
		end
	end
	return slurm.SUCCESS
end

-- In whatever way it ends, nobody waits for it any more.
function slurm_bb_post_run(job_id, job_script)
	local asked = directives(job_script)
	if not (asked and asked.drain) then
		return slurm.SUCCESS
	end
	local job = job_of(job_id)
	if not job then
		return failed(job_id, "ebt-drain", "nodes of the job are not known")
	end
	local file = job.store .. "/drained." .. os.time() -- of this attempt
	local ok, said = proven(job, {"ebt-drain", "--conflict=" .. (asked.conflict or "auto"),
		"--done=" .. file, job.store .. "/out", (asked.drain:gsub("%%j", job.id))}, file)
	if not ok then
		-- Stores stay, for slurm-resume.sh.
		on_nodes(job, {"mv", "-T", mark(job, "drain"), mark(job, "kept")})
		return failed(job_id, "ebt-drain", said)
	end
	on_nodes(job, {"rm", "-f", mark(job, "drain")})
	return slurm.SUCCESS
end

-- scancel --hurry asks to give up outputs: epilog.sh has nothing to wait for.
function slurm_bb_job_teardown(job_id, job_script, hurry)
	local asked = hurry == "true" and directives(job_script)
	local job = asked and asked.drain and job_of(job_id)
	if job then
		on_nodes(job, {"rm", "-f", mark(job, "drain")})
	end
	return slurm.SUCCESS
end

-- What node-local stores have no use for, but Slurm wants to find.
local function nothing()
	return slurm.SUCCESS
end
slurm_bb_pools = nothing
slurm_bb_setup = nothing
slurm_bb_data_in = nothing
slurm_bb_test_data_in = nothing
slurm_bb_real_size = nothing
slurm_bb_data_out = nothing
slurm_bb_test_data_out = nothing

function slurm_bb_get_status()
	return slurm.SUCCESS, "ebt: stores below " .. base .. "\n"
end

-- A real editor and the real server: opens a spec with an error, writes what Neovim shows, mends it by a code action.
-- Run by .ci/editor: nvim --headless -u NONE -l cannot be used before 0.9, so it is sourced with -c "luafile …".
local out = {}
local function say(...) out[#out + 1] = table.concat({...}, "") end
local function wait(what, check) if not vim.wait(tonumber(vim.env.PATIENCE or "60000"), check, 50) then say("no ", what) end end

local path = vim.env.SPEC
vim.cmd("edit " .. path)
local buffer = vim.api.nvim_get_current_buf()
local client = vim.lsp.start_client({name = "graphc", cmd = {vim.env.PYTHON, "-m", "graphc", "lsp"}, root_dir = vim.fn.getcwd()})
vim.lsp.buf_attach_client(buffer, client)
wait("diagnostics", function() return #vim.diagnostic.get(buffer) > 0 end)
for _, each in ipairs(vim.diagnostic.get(buffer)) do
  say("diagnostic ", each.lnum + 1, ":", each.col + 1, " ", each.code or "", " ", each.message)
end

local function ask(method, params)
  local found = vim.lsp.buf_request_sync(buffer, method, params, tonumber(vim.env.PATIENCE or "60000"))
  return found and found[client] and found[client].result
end
local document = {uri = vim.uri_from_bufnr(buffer)}
local function at(line, column) return {textDocument = document, position = {line = line, character = column}} end

local first = vim.diagnostic.get(buffer)[1]
if first then
  local range = {start = {line = first.lnum, character = first.col}, ["end"] = {line = first.lnum, character = first.end_col}}
  local actions = ask("textDocument/codeAction", {textDocument = document, range = range, context = {diagnostics = {}}}) or {}
  for _, each in ipairs(actions) do say("action ", each.title) end
  if actions[1] then vim.lsp.util.apply_workspace_edit(actions[1].edit, "utf-16") end
end
wait("an end of the error", function() return #vim.diagnostic.get(buffer) == 0 end)
say("diagnostics left: ", #vim.diagnostic.get(buffer))
local hints = ask("textDocument/inlayHint", {textDocument = document, range = {start = {line = 0, character = 0}, ["end"] = {line = 99, character = 0}}}) or {}
local behind = {}
for _, each in ipairs(hints) do behind[each.position.line + 1] = each.label end
for number, line in ipairs(vim.api.nvim_buf_get_lines(buffer, 0, -1, false)) do
  say("| ", line, behind[number] and ("    « " .. behind[number] .. " »") or "")
end
local hover = ask("textDocument/hover", at(3, 6))
if hover then say("hover ", hover.contents.value) end
local items = ask("textDocument/completion", at(3, 13)) or {items = {}}
local labels = {}
for _, each in ipairs(items.items or items) do labels[#labels + 1] = each.label end
say("completion ", table.concat(labels, ", "))
local symbols = ask("textDocument/documentSymbol", {textDocument = document}) or {}
for _, each in ipairs(symbols) do say("symbol ", each.name, " (", #(each.children or {}), " inside)") end
local renamed = ask("textDocument/rename", {textDocument = document, position = {line = 4, character = 20}, newName = "second"})
if renamed then vim.lsp.util.apply_workspace_edit(renamed, "utf-16") end
say("after renaming: ", vim.api.nvim_buf_get_lines(buffer, 4, 5, false)[1], " / ", vim.api.nvim_buf_get_lines(buffer, 5, 6, false)[1])
vim.fn.writefile(vim.split(table.concat(out, "\n"), "\n"), vim.env.OUT)
vim.lsp.stop_client(client)
vim.cmd("qa!")

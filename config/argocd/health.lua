-- The health of a User for Argo CD: healthy when what it says is in force, degraded when only an edit
-- can mend it. Paste it into the ConfigMap argocd-cm, under
-- resource.customizations.health.auth.gatehouse.dev_User.
local health = {status = "Progressing", message = "Gatehouse has not processed this version of the User yet"}
if obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.status.observedGeneration == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end
local ready = nil
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Stalled" and condition.status == "True" then
    return {status = "Degraded", message = condition.reason .. ": " .. condition.message}
  end
  if condition.type == "Ready" then
    ready = condition
  end
end
if ready ~= nil and ready.status == "True" then
  return {status = "Healthy", message = ready.reason .. ": " .. ready.message}
end
if ready ~= nil and ready.status == "False" then
  health.message = ready.reason .. ": " .. ready.message
end
return health

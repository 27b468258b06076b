# The calls of Ruby programs with net/http. The environment has URL, CA, LOGIN and PASSWORD.
require 'json'
require 'net/http'
require 'openssl'

BASE = URI(ENV.fetch('URL'))
HTTP = Net::HTTP.new(BASE.host, BASE.port)
HTTP.use_ssl = true
HTTP.ca_file = ENV.fetch('CA')
HTTP.verify_mode = OpenSSL::SSL::VERIFY_PEER

def call(kind, path, body = nil, headers = {})
  request = kind.new("/rbac-api#{path}", headers)
  request.body = body.is_a?(String) ? body : JSON.generate(body) if body
  HTTP.request(request)
end

def expect(status, what, response)
  return response if response.code == status.to_s

  abort "#{what}: answered #{response.code} #{response.body}, want #{status}"
end

def login(label)
  body = { login: ENV.fetch('LOGIN'), password: ENV.fetch('PASSWORD'), lifetime: '10y', label: label }
  answer = expect(200, 'a login', call(Net::HTTP::Post, '/v1/auth/token', body, 'Content-Type' => 'application/json'))
  JSON.parse(answer.body).fetch('token')
end

token = login(' laptop ')
abort 'a repeated label gets another token' unless login('laptop') == token

mine = { 'X-Authentication' => token }
user = JSON.parse(expect(200, 'the own user', call(Net::HTTP::Get, '/v1/users/current', nil, mine)).body)
abort "the own user is #{user}" unless user.fetch('login') == ENV.fetch('LOGIN')

listed = expect(200, 'the own tokens', call(Net::HTTP::Get, "/v1/users/#{user.fetch('id')}/tokens?limit=10", nil, mine))
labels = JSON.parse(listed.body).fetch('items').map { |item| item['label'] }
abort "the own tokens are #{listed.body}" unless labels == ['laptop']

# net/http sends a body without a type as a form.
expect(415, 'a login as a form', call(Net::HTTP::Post, '/v1/auth/token', { login: 'a', password: 'b' }))
refused = expect(401, 'a wrong password', call(Net::HTTP::Post, '/v1/auth/token', { login: ENV.fetch('LOGIN'), password: 'wrong' },
                                               'Content-Type' => 'application/json'))
kind = JSON.parse(refused.body).fetch('kind')
abort "a wrong password is #{kind}" unless kind == 'puppetlabs.rbac/user-unauthenticated'

expect(204, 'a revocation', call(Net::HTTP::Delete, '/v2/tokens', { revoke_tokens: [token] }, mine))
revoked = expect(401, 'a revoked token', call(Net::HTTP::Get, '/v1/users/current', nil, mine))
kind = JSON.parse(revoked.body).fetch('kind')
abort "a revoked token is #{kind}" unless kind == 'puppetlabs.rbac/token-revoked'

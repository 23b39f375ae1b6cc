import { validationFacts } from '@certfleet/platforms'
import t from 'tap'
import { jsonOf, startLab } from './surroundings.ts'
import { askToken, call, graph, intune, legacyGraph, tokenFor, validationApi } from './third-party.ts'

const endpoints = '/v1.0/servicePrincipals/appId=0000000a-0000-0000-c000-000000000000/endpoints'
const legacyEndpoints = '/contoso.example/servicePrincipalsByAppId/0000000a-0000-0000-c000-000000000000/serviceEndpoints'
const download = 'CertificateAuthorityRequests/downloadRevocationRequests'
const anyOne = { downloadParameters: { maxRequests: 1 } }

t.test('without the option there are no such paths', async (t) => {
  const { lab } = await startLab()
  t.equal((await askToken(lab)).status, 404)
  t.equal((await lab.handle({ method: 'GET', url: endpoints, headers: {} })).status, 404)
  t.equal((await call(lab, 'ScepActions/validateRequest', {}, { token: 'x' })).status, 404)
  t.equal(lab.validationApi, undefined)
})

t.test('a token for the client’s credentials (RFC 6749 4.4)', async (t) => {
  const { lab } = await startLab({ validationApi })
  const { status, headers, ...answer } = await askToken(lab)
  t.equal(status, 200)
  t.match(headers, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  const { access_token: token, ...told } = jsonOf({ status, headers, ...answer })
  t.same(told, { token_type: 'Bearer', expires_in: 3600, ext_expires_in: 3600 })
  t.match(token, /^[\w-]{40,100}$/, 'opaque')
  const { clientId, clientSecret } = validationApi
  const basic = (name: string, password: string) => ({ authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` })
  const none = { client_id: '', client_secret: '' }
  const rows: [string, Parameters<typeof askToken>[1], Parameters<typeof askToken>[2], string | undefined][] = [
    ['a resource without a slash', { scope: `${intune}/.default` }, {}, undefined],
    ['Graph', { scope: `${graph}/.default` }, {}, undefined],
    ['what libraries add for users', { scope: `openid profile offline_access ${intune}/.default` }, {}, undefined],
    ['the lab itself', { scope: 'http://lab.invalid/.default' }, {}, undefined],
    ['the secret by Basic', none, { headers: basic(clientId, clientSecret) }, undefined],
    ['the path in capitals', {}, { path: '/CONTOSO.example/oauth2/V2.0/token' }, undefined],
    ['a form with a charset', {}, { headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' } }, undefined],
    [
      'the path and the resource of before v2.0',
      { scope: '', resource: `${intune}/` },
      { path: '/contoso.example/oauth2/token' },
      undefined,
    ],
    ['a foreign one of them', { scope: '', resource: 'https://vault.example/' }, {}, '400 invalid_scope'],
    ['another secret', { client_secret: 'x' }, {}, '401 invalid_client'],
    ['another client', { client_id: 'x' }, {}, '401 invalid_client'],
    ['another secret by Basic', none, { headers: basic(clientId, 'x') }, '401 invalid_client'],
    ['the secret in both places', {}, { headers: basic(clientId, clientSecret) }, '400 invalid_request'],
    ['no secret', { client_secret: '' }, {}, '400 invalid_request'],
    ['no client', { client_id: '' }, {}, '400 invalid_request'],
    ['a body that is no form', {}, { headers: { 'content-type': 'application/json' } }, '400 invalid_request'],
    ['an oversized form', { state: 'x'.repeat(16 * 1024) }, {}, '400 invalid_request'],
    ['a password grant', { grant_type: 'password' }, {}, '400 unsupported_grant_type'],
    ['no grant', { grant_type: '' }, {}, '400 unsupported_grant_type'],
    ['no scope', { scope: '' }, {}, '400 invalid_scope'],
    ['a scope that is not .default', { scope: `${intune}/scep` }, {}, '400 invalid_scope'],
    ['two resources', { scope: `${intune}/.default ${graph}/.default` }, {}, '400 invalid_scope'],
    ['a foreign resource', { scope: 'https://vault.example/.default' }, {}, '400 invalid_scope'],
  ]
  for (const [name, form, options, error] of rows) {
    const response = await askToken(lab, form, options)
    const { error: said, error_description: description } = jsonOf(response)
    t.equal(said === undefined ? undefined : `${response.status} ${said}`, error, name)
    if (error) t.type(description, 'string', name)
    if (response.status === 401) t.match(response.headers, { 'www-authenticate': /^Basic/ }, name)
  }
  t.equal((await askToken(lab, {}, { path: '/other.example/oauth2/v2.0/token' })).status, 404, 'another tenant')
  const twice = await lab.handle({
    method: 'POST',
    url: '/contoso.example/oauth2/v2.0/token',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: Buffer.from('grant_type=client_credentials&grant_type=client_credentials'),
  })
  t.match(jsonOf(twice), { error: 'invalid_request' }, 'a parameter twice')
})

t.test('validation.token-scope: a token is good for an hour, for its resource, and for its lab', async (t) => {
  const { lab, clock, store } = await startLab({ validationApi })
  const token = await tokenFor(lab)
  const status = async (bearer: string, of = lab) => (await call(of, download, anyOne, { token: bearer })).status
  t.equal(await status(token), 200)
  t.equal(await status(await tokenFor(lab, 'http://lab.invalid')), 200, 'the lab itself is the resource, too')
  t.equal(await status(await tokenFor(lab, graph)), 401, 'one for Graph')
  for (let i = 0; i < token.length; i++) {
    const other = token[i] === 'A' ? 'B' : 'A'
    t.equal(await status(`${token.slice(0, i)}${other}${token.slice(i + 1)}`), 401)
  }
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const respelled = token.slice(0, -1) + alphabet[alphabet.indexOf(token.at(-1) ?? '') ^ 1]
  t.same(Buffer.from(respelled, 'base64url'), Buffer.from(token, 'base64url'))
  t.equal(await status(respelled), 401, 'the same bytes in another spelling')
  for (const bearer of ['x', token.slice(0, -4), `${token}AAAA`]) t.equal(await status(bearer), 401)
  const again = await startLab({ store, validationApi })
  t.equal(await status(token, again.lab), 200, 'after a restart')
  const rotated = await startLab({ store, validationApi: { ...validationApi, clientSecret: 'another' } })
  t.equal(await status(token, rotated.lab), 401, 'not once the secret is another')
  await clock.advance(60 * 60_000 - 1)
  t.equal(await status(token), 200)
  await clock.advance(1)
  t.equal(await status(token), 401)
})

t.test('validation.application, validation.services, validation.legacy-discovery: discovery, by Graph and as it was before', async (t) => {
  const { lab } = await startLab({ validationApi: { ...validationApi, baseUrl: 'https://lab.example' } })
  const get = async (url: string, resource: string, headers = {}) =>
    lab.handle({ method: 'GET', url, headers: { authorization: `Bearer ${await tokenFor(lab, resource)}`, ...headers } })
  t.same(jsonOf(await get(endpoints, graph)), {
    value: [
      {
        providerName: 'ScepRequestValidationFEService',
        capability: 'ScepRequestValidationFEService',
        uri: 'https://lab.example/scep-request-validation',
      },
      { providerName: 'PkiConnectorFEService', capability: 'PkiConnectorFEService', uri: 'https://lab.example/pki-connector' },
    ],
  })
  t.same(
    jsonOf(await get(endpoints, graph)).value.map(({ providerName }: { providerName: string }) => providerName),
    validationFacts.services.value,
  )
  t.match(jsonOf(await get(`${legacyEndpoints}?api-version=1.6`, legacyGraph)), {
    value: [{ serviceName: 'ScepRequestValidationFEService', uri: 'https://lab.example/scep-request-validation' }, {}],
  })
  t.equal((await get(legacyEndpoints, legacyGraph)).status, 400, 'without its version')
  t.equal((await get(endpoints, intune)).status, 401, 'with a token for another resource')
  t.equal((await lab.handle({ method: 'GET', url: endpoints, headers: {} })).status, 401, 'without a token')
  const { lab: anywhere } = await startLab({ validationApi })
  const token = await tokenFor(anywhere, graph)
  const headers = { authorization: `Bearer ${token}`, host: '127.0.0.1:8080' }
  const [first] = jsonOf(await anywhere.handle({ method: 'GET', url: endpoints, headers })).value
  t.equal(first.uri, 'http://127.0.0.1:8080/scep-request-validation', 'where no base is given: as the request reached the lab')
})

t.test('options that no URL can carry', async (t) => {
  const wrong = [
    { tenant: '' },
    { tenant: 'a/b' },
    { clientId: '' },
    { clientSecret: '' },
    { baseUrl: 'lab' },
    { baseUrl: 'http://lab/path' },
  ]
  for (const options of wrong)
    await t.rejects(startLab({ validationApi: { ...validationApi, ...options } }), TypeError, JSON.stringify(options))
})

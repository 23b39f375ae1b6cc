import { AgentError, type HttpRequest, type HttpResponse } from '@certfleet/agent-core'
import { type Check, same } from '../check.ts'
import { assigned, statusOf } from '../documents.ts'

const usual = ['ios', 'macos', 'android', 'windows'] as const
const dead = ['https://first.invalid/scep', 'https://third.invalid/scep'] as const

const unreachable = async (request: HttpRequest, send: (request: HttpRequest) => Promise<HttpResponse>): Promise<HttpResponse> => {
  if (dead.some((url) => request.url.startsWith(url))) throw new AgentError('ERR_NETWORK', 'the server is down')
  return send(request)
}

/** The last is drawn first. */
const descending = () => {
  let rank = 100
  return { between: (minMs: number, maxMs: number) => (maxMs === 1 ? rank-- : minMs) }
}

async function withThreeUrls(context: Parameters<Check['run']>[0]) {
  const device = await assigned(context, {
    between: unreachable,
    jitter: descending(),
    scep: ({ scepUrl }) => ({ scepUrls: [dead[0], scepUrl, dead[1]] }),
  })
  const { state } = statusOf(await device.checkIn())
  const hosts = [...new Set(device.exchanges.map(({ request }) => new URL(request.url).host))]
  return { state, hosts, own: new URL(device.session.scepUrl).host }
}

/** Which of several SCEP servers a device asks. */
export const serverUrlChecks: readonly Check[] = [
  {
    id: 'servers.urls.first-only',
    on: ['ios', 'macos'],
    given: 'three SCEP URLs, the first of them down',
    expect: 'the request fails: the service sends one URL, and no other is tried',
    source: 'M-SCEP SCEP server URLs',
    facts: ['apple.scep.urls'],
    async run(context) {
      const { state, hosts } = await withThreeUrls(context)
      same([state, hosts], ['requestSubmitFailed', ['first.invalid']], 'outcome and servers asked')
    },
  },
  {
    id: 'servers.urls.in-order',
    on: ['windows'],
    given: 'three SCEP URLs, the first of them down',
    expect: 'the device goes on to the second, in the order received',
    source: 'M-SCEP SCEP server URLs',
    facts: ['windows.scep.urls'],
    async run(context) {
      const { state, hosts, own } = await withThreeUrls(context)
      same([state, hosts], ['installed', ['first.invalid', own]], 'outcome and servers asked')
    },
  },
  {
    id: 'servers.urls.shuffled',
    on: ['android'],
    given: 'three SCEP URLs, two of them down',
    expect: 'the device shuffles them and keeps the first that it reaches',
    source: 'M-SCEP SCEP server URLs',
    facts: ['android.scep.urls'],
    async run(context) {
      const { state, hosts, own } = await withThreeUrls(context)
      same([state, hosts], ['installed', ['third.invalid', own]], 'outcome and servers asked')
    },
  },
  {
    id: 'servers.urls.told',
    on: usual,
    given: 'a profile with two SCEP URLs',
    expect: 'Apple systems tell that the second has no effect; the others heed both',
    source: 'M-SCEP SCEP server URLs',
    facts: ['several-urls.apple-ignored', 'several-urls.honoured'],
    async run(context) {
      const device = await assigned(context, { scep: ({ scepUrl }) => ({ scepUrls: [scepUrl, `${scepUrl}/pkiclient.exe`] }) })
      const { ignoredSettings = [] } = statusOf(await device.checkIn())
      const isApple = context.os.platform === 'ios' || context.os.platform === 'macos'
      same(ignoredSettings, isApple ? ['severalUrls'] : [], 'ignored settings')
    },
  },
]

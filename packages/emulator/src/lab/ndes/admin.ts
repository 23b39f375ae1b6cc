import type { HttpRequest, HttpResponse } from '@certfleet/agent-core'
import { ndesFacts, says } from '@certfleet/platforms'
import { sameSecret } from '../digest.ts'
import { empty, type Route } from '../http.ts'
import { cacheFullPage, noPermissionPage, passwordPage } from './pages.ts'
import type { OneTimePasswords } from './passwords.ts'

/** Who may sign in to `mscep_admin`. */
export interface NdesAdministrator {
  /** As it is typed, domain and all. */
  readonly name: string
  /** A secret. */
  readonly password: string
  /** Enroll on the templates: without it the page says so instead of showing a password. Default true. */
  readonly enroll?: boolean
}

export interface AdminOptions {
  /** None: nobody gets in. */
  readonly administrators: readonly NdesAdministrator[]
  readonly passwords: OneTimePasswords
  /** Of the CA that issues now, DER. */
  readonly issuingCertificate: () => Uint8Array
}

/** Where administrators fetch a password. The first redirects to the second, as a folder of IIS does. */
const adminPath = says(ndesFacts.adminPath, {})
export const adminPaths = [adminPath, `${adminPath}/`, `${adminPath}/mscep.dll`] as const

const challenge = { 'www-authenticate': 'Basic realm="mscep_admin", charset="UTF-8"' }

/**
 * A password a visit, to who signs in. NDES has Windows sign them in (NTLM, Kerberos); the lab does it by HTTP Basic (RFC 7617), which
 * clients of NDES know too. Whatever is wrong with name or password is one 401.
 */
export function mscepAdmin({ administrators, passwords, issuingCertificate }: AdminOptions): Route {
  return {
    async GET(request, url) {
      const administrator = signIn(request, administrators)
      if (administrator === undefined) return empty(401, challenge)
      if (url.pathname.toLowerCase() === adminPaths[0]) return empty(301, { location: adminPaths[1] })
      if (administrator.enroll === false) return noPermissionPage()
      return answer(passwords, issuingCertificate())
    },
  }
}

async function answer(passwords: OneTimePasswords, issuingCertificate: Uint8Array): Promise<HttpResponse> {
  const handedOut = await passwords.issue()
  return handedOut === 'full' ? cacheFullPage() : passwordPage(handedOut, issuingCertificate)
}

const nobody: NdesAdministrator = { name: '', password: '' }

/** Every account is compared, name and password, whichever it is: how long it takes tells nothing. */
function signIn({ headers }: HttpRequest, administrators: readonly NdesAdministrator[]): NdesAdministrator | undefined {
  const sent = credentialsOf(headers.authorization)
  const matches = administrators.map(({ name, password }) => {
    const isName = sameSecret(name, (sent ?? nobody).name)
    const isPassword = sameSecret(password, (sent ?? nobody).password)
    return isName && isPassword
  })
  return sent && administrators[matches.indexOf(true)]
}

function credentialsOf(header = ''): Pick<NdesAdministrator, 'name' | 'password'> | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/]{1,4096}={0,2})$/i.exec(header)?.[1]
  if (encoded === undefined) return undefined
  const [, name, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, 'base64').toString()) ?? []
  return name === undefined || password === undefined ? undefined : { name, password }
}

import { createHash } from 'node:crypto'
import type { HttpResponse } from '@certfleet/agent-core'
import { ndesFacts, says } from '@certfleet/platforms'
import type { HandedOut } from './passwords.ts'

/**
 * The pages of NDES: UTF-16, little-endian, with a byte order mark and no word of it in the header. Clients take them apart by the
 * sentences about thumbprint, password, full cache and permission, down to the blanks around `<B>`; the rest is the lab's own.
 */
function page(...paragraphs: readonly string[]): HttpResponse {
  const title = 'Network Device Enrollment Service'
  const html = `<HTML><Head><Title>${title}</Title></Head><Body><P> ${title} of the lab </P> <P> ${paragraphs.join(' <P> ')} </Body></HTML>`
  const body = Buffer.concat([Uint8Array.of(0xff, 0xfe), Buffer.from(html, 'utf16le')])
  return { status: 200, headers: { 'content-type': says(ndesFacts.page, {}), 'cache-control': 'no-store' }, body }
}

/** What the administrator is to carry to the device. */
export function passwordPage({ password, validMinutes }: HandedOut, issuingCertificate: Uint8Array): HttpResponse {
  return page(
    `The thumbprint (hash value) for the CA certificate is: <B> ${thumbprintOf(issuingCertificate)} </B>`,
    `The enrollment challenge password is: <B> ${password} </B>`,
    validMinutes === undefined
      ? 'This password can be used multiple times and will not expire.'
      : `This password can be used only once and will expire within ${validMinutes} minutes.`,
  )
}

export function cacheFullPage(): HttpResponse {
  return page('The password cache is full.', 'A place in it is free once a password has been used or has expired.')
}

export function noPermissionPage(): HttpResponse {
  return page('You do not have sufficient permission to enroll with SCEP.')
}

/** What the device URL shows where no policy module answers in its stead (6.2). */
export function devicePage(): HttpResponse {
  return page('This URL is for devices. It takes the operations of SCEP.')
}

/** MD5 it is, on every version of NDES: enough to tell CAs apart by eye, and no proof of anything. */
function thumbprintOf(certificate: Uint8Array): string {
  const digest = createHash(says(ndesFacts.thumbprint, {})).update(certificate).digest('hex').toUpperCase()
  return digest.match(/.{8}/g)?.join(' ') ?? ''
}

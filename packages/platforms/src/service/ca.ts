import type { Fact } from '../fact.ts'

const service = ['service'] as const
const apple = ['ios', 'macos'] as const

/** What the CA, its templates and the hosts around it have to be. */
export const caFacts = {
  templateSubject: {
    id: 'ca.template-subject',
    platforms: service,
    effect: 'The template takes the subject from the request.',
    value: 'supplied-in-request',
    source: 'SEED S48',
    confidence: 'V',
  },
  templatePurpose: {
    id: 'ca.template-purpose',
    platforms: service,
    effect: 'Certificates of the template are for client authentication at least.',
    value: '1.3.6.1.5.5.7.3.2',
    source: 'SEED S39, S48',
    confidence: 'V',
  },
  templateEnroll: {
    id: 'ca.template-enroll',
    platforms: service,
    effect: 'The account that NDES asks by needs Enroll on the template; without it nothing is issued.',
    value: 'ndes',
    source: 'SEED S48',
    confidence: 'V',
  },
  connectorEnroll: {
    id: 'ca.connector-enroll',
    platforms: service,
    effect: 'For PFX the host of the connector has to be allowed to request certificates of the CA.',
    value: 'connector',
    source: 'SEED S53',
    confidence: 'V',
  },
  manage: {
    id: 'ca.manage',
    platforms: service,
    effect: 'To revoke, an account needs Issue and Manage Certificates for the template.',
    value: 'Issue and Manage Certificates',
    source: 'SEED S52',
    confidence: 'V',
  },
  proofOfOrigin: {
    id: 'apple.proof-of-origin',
    platforms: apple,
    effect: 'A template for these systems must not say that a signature is proof of origin; one that does is told of.',
    value: 'nonRepudiation',
    source: 'SEED S49',
    confidence: 'V',
  },
  endDate: {
    id: 'ca.end-date',
    platforms: service,
    effect: 'A lifetime that is asked for counts only when the CA has this flag, and was restarted since.',
    value: 'EDITF_ATTRIBUTEENDDATE',
    source: 'SEED S50',
    confidence: 'V',
  },
  longest: {
    id: 'ca.longest-validity',
    platforms: service,
    effect: 'No certificate lives longer than its template says, or than its CA.',
    value: ['template', 'CA'],
    source: 'M-SCEP Certificate validity period',
    confidence: 'V',
  },
  tlsNames: {
    id: 'service.tls-names',
    platforms: service,
    effect:
      "The server's certificate has the public name for its subject and the internal ones as alternative names; that of the client names the NDES host, and one may serve both.",
    value: ['server', 'client'],
    source: 'SEED S58',
    confidence: 'V',
  },
  applicationProxy: {
    id: 'service.application-proxy',
    platforms: service,
    effect: 'A Web Application Proxy ends TLS under a name that matches, trusts the certificate of NDES, and asks it anew.',
    value: 'ends TLS and begins it anew',
    source: 'SEED S59',
    confidence: 'V',
  },
  monitoring: {
    id: 'service.monitoring',
    platforms: service,
    effect: 'Certificates that devices installed are reported and shown.',
    value: true,
    source: 'SEED S16',
    confidence: 'V',
  },
} as const satisfies Record<string, Fact>

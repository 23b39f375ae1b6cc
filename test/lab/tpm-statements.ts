/**
 * What a real TPM 2.0 says: swtpm 0.7.1 by tpm2-tools 5.4 (tpm2_createprimary in the endorsement hierarchy for the attestation key, tpm2_create,
 * tpm2_certify), base64. Every statement has the nonce 00ff55aa, which is what that tool asks with.
 */
export const recordedAttestationKey: Uint8Array = bytes(
  'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEu4l4z1DWk9UutwbDrz/am1gVuVShkuvieULlWbnGsVpMQ88lQAprDFSyX79X3ARja0vb6brcdJ6NHQbcSZDrgA==',
)

export const recordedStatements = {
  /** RSA-2048, noDA, signs and decrypts. */
  rsa: {
    publicArea: bytes(
      'AAEACwAGBHIAAAAQABAIAAAAAAABALBDsMHMaU9sxeehcbbxsJriFQl33nx9S2joKlqToNOoG9/Pdj6fgHZr2e1Uf6aW7knvPpP7aCQaEstpaz7RK+EFIwErZFVYbiHcklYxDtfbhw/ndphxfg8Oy1GiYYajpfJWmq0ntjNP2pMqcrqk9Zf8bcRr0fvz9w8xEaq9gHj+/WYXyl/o6xRPDDnNXfev221xr+pgCxlVFdOp8/0FCURk3UiG9YylxVrj+NjTZhxZY4qqcX9drLjemM6NdHZ/ZAcO0X9budb/wJPAmO9XXO5T2sqVgaywLRc8AHddBk6EeSYnlrpCk7nP1l7PfN4KPmY5NH6ojIOd0nzUIGtMT9M=',
    ),
    statement: bytes(
      '/1RDR4AXACIACzN7tAfsRsFybjJepWXqWjCT9jV/xdZ/qtXNv/PhY2neAAQA/1WqAAAAAAAEwwQAAAABAAAAAAEgGRAjABY2NgAiAAsGZpHuMndzW43YzJVdxt4EwMv50F/fsuWo04FWv2fCgAAiAAsf/6olK0RIYsibC7Mg8XUUehZr5SNbggEkpiXCR4X5wA==',
    ),
    signature: bytes('MEUCIAfB5aDt3N34hk5Yp2xwqLuDdTJdJji2w4W31OtGoZAbAiEA8FFfZ3Nkcad4k0Qs78XWmhgrkXWtpreYeI9JH0fV0Jg='),
  },
  /** P-256, signs. */
  ec: {
    publicArea: bytes(
      'ACMACwAEAHIAAAAQABAAAwAQACBDPyydxEvGuoo/lvgCtJ6wkpg3orWQbJZV/i3Iuxp5qQAg+yYG4uFGrxAZp/osVW3Z6CUtrxNfty4UrSoCj5148qM=',
    ),
    statement: bytes(
      '/1RDR4AXACIACzN7tAfsRsFybjJepWXqWjCT9jV/xdZ/qtXNv/PhY2neAAQA/1WqAAAAAAAEwx8AAAABAAAAAAEgGRAjABY2NgAiAAtiXH/lJC+lXwCd2XZ0HUJZY7J8RLaTp5m+O2rR8LinQgAiAAu0tY+wbCWn0mEJMtthtyMtFJyFslPmwtTJ4ZERc1f7xw==',
    ),
    signature: bytes('MEUCIQDfh2sHyKT9PwdIpm/tE3G68KKE6k6QiR/wayu+DatY5QIgA8PPvbp2Lo5NwbgYAb+/8duqh+MvnqfHik5HN5QcqvY='),
  },
  /** P-256, neither fixedTPM nor fixedParent: it may be duplicated. */
  movable: {
    publicArea: bytes(
      'ACMACwAEAGAAAAAQABAAAwAQACDXETgqqAaK2/iLeBAs/KpLZnlLZKOd1vIqrPaTotx+uQAg7hZCt5+AOYmfNb/G5eQEkXVSwmxOSPOQRjs1aO44KiQ=',
    ),
    statement: bytes(
      '/1RDR4AXACIACzN7tAfsRsFybjJepWXqWjCT9jV/xdZ/qtXNv/PhY2neAAQA/1WqAAAAAAAEw40AAAABAAAAAAEgGRAjABY2NgAiAAt77Bd2JmZAsdJ/ZMjSeZr6VHQjLoo3Ouh+Zlnz2ReI0AAiAAu3lae88/+SPji3MMeOWsMoxhLf370zQGycR3FC7FodDA==',
    ),
    signature: bytes('MEYCIQD/QlxElzJYEIum1IOUp+y6RSIVKsbfHd52+pZ2Y5jtkAIhAJk/SnAj/1AzNXe2+MrVWwDbBJNvbEiOhRyIKJg0FpKg'),
  },
} as const

function bytes(base64: string): Uint8Array {
  return Uint8Array.from(Buffer.from(base64, 'base64'))
}

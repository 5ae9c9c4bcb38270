import { expect, test } from 'vitest';
import { isTooLong } from '../../src/actors/effects/inference-stream.ts';
import { OptaError } from '../../src/protocol/errors.ts';

const rejected = (message: string, serverCode?: string): OptaError =>
  new OptaError('lmx-request-rejected', message, serverCode === undefined ? {} : { serverCode });

test('[TB3] servers say in their own words that a request is too long', () => {
  for (const error of [
    rejected('no', 'context_length_exceeded'),
    rejected("This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."),
    rejected('the request exceeds the available context size, try increasing it'),
    rejected('The prompt has 14574 tokens; the context of this model has room for 8191.'),
    rejected('Requested tokens (9000) exceed context window of 8192'),
  ])
    expect(isTooLong(error), error.message).toBe(true);
  for (const error of [
    rejected('messages: field required'),
    rejected('the context of the tool is missing'),
    new OptaError('lmx-busy', 'maximum context length', { serverCode: 'rate_limit_exceeded' }),
  ])
    expect(isTooLong(error), error.message).toBe(false);
});

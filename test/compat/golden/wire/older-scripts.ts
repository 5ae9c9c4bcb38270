import type { Scenarios } from '../wire.ts';

export default {
  'legacy-chat': {
    run: async ({ ask }) => {
      await ask('POST /v1/chat', { message: 'say it @@{"text":"hello"}@@' });
      await ask('POST /v1/chat', { message: 'again @@{"text":"more"}@@', session_id: 'legacy-one' });
      await ask('POST /v1/chat', { message: 'fail @@{"error":"out of luck","status":400,"code":"bad"}@@' });
      await ask('POST /v1/chat', { message: '' });
      await ask('POST /v1/chat', {});
      await ask('POST /v1/chat', { message: 'x' }, { token: null });
    },
  },
  bridge: {
    run: async ({ ask }) => {
      await ask('GET /v3/bridge/status');
      await ask('POST /v3/device/bootstrap', {});
    },
    // What went before counts there.
    stable: [[/("(?:sessionCount|ingressSeq|samples|subscriberCount|activeTurnCount|workers|busy)": )\d+/g, '$1<n>']],
  },
} satisfies Scenarios;

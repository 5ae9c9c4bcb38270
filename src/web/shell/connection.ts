import { createStore } from '@xstate/store';
import { useEffect } from 'preact/hooks';
import type { AttachState } from '../../client/attach-options.ts';

/** How the page at hand hears from the daemon; null when it listens to nothing. */
export const connection = createStore({
  context: { state: null as AttachState | null },
  on: { told: (_, { state }: { state: AttachState | null }) => ({ state }) },
});

/** For the page that is shown: what the head of the page says about its stream. */
export const useConnection = (state: AttachState | null): void => {
  useEffect(() => void connection.trigger.told({ state }), [state]);
  useEffect(() => () => void connection.trigger.told({ state: null }), []);
};

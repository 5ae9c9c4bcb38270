import { useLayoutEffect, useRef } from 'preact/hooks';
import { Button } from '../../parts/button.tsx';
import { Icon } from '../../parts/icon.tsx';
import type { Found } from './use-find.ts';

/** Searches the whole conversation, also what is not in the document. Enter and Shift+Enter step, Esc closes. */
export const Find = ({
  find: { typed, text, at, places, setText, step },
  onClose,
}: {
  find: Found;
  onClose: () => void;
}) => {
  const count = places.length;
  const field = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    const before = document.activeElement;
    field.current?.focus();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') onClose();
    else if (event.key === 'Enter' && !event.isComposing) step(event.shiftKey ? -1 : 1);
    else return;
    event.preventDefault();
  };
  return (
    <search class="find" onKeyDown={onKey}>
      <Icon name="search" />
      <input
        ref={field}
        type="text"
        aria-label="Search in this conversation"
        placeholder="Search in this conversation"
        autoComplete="off"
        spellcheck={false}
        value={typed}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <p class="find-count" role="status">
        {typed === '' ? '' : text !== typed ? '…' : count === 0 ? 'nothing' : `${at + 1} of ${count}`}
      </p>
      <Button
        kind="quiet"
        small
        icon="up"
        aria-label="The one before"
        disabled={count === 0}
        onClick={() => step(-1)}
      />
      <Button kind="quiet" small icon="down" aria-label="The next one" disabled={count === 0} onClick={() => step(1)} />
      <Button kind="quiet" small icon="close" aria-label="Close the search" onClick={onClose} />
    </search>
  );
};

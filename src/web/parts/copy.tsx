import { useEffect, useState } from 'preact/hooks';
import { announce } from './announcer.tsx';
import { Button } from './button.tsx';
import { toast } from './toasts.tsx';

const SHOWN_MS = 1_500;

/** Puts a text on the clipboard, and says so. */
export const CopyButton = ({ text, label = 'Copy' }: { text: string; label?: string }) => {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setDone(true);
      announce('Copied');
    } catch {
      toast('The browser did not let this page copy. Select the text and copy it by hand.', 'bad');
    }
  };
  return (
    <Button
      class="copy"
      kind="quiet"
      small
      icon={done ? 'check' : 'copy'}
      aria-label={done ? 'Copied' : label}
      onClick={() => void copy()}
    />
  );
};

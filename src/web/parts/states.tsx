import type { ComponentChildren } from 'preact';
import { toOptaError } from '../../protocol/errors.ts';
import { Button } from './button.tsx';

/** Where something will be. */
export const Empty = ({ title, children }: { title: string; children?: ComponentChildren }) => (
  <div class="empty">
    <p class="empty-title">{title}</p>
    {children}
  </div>
);

/** A failure with its code; `again` is what the person may try. */
export const ErrorBox = ({
  error,
  title = 'This did not work',
  again,
}: {
  error: unknown;
  title?: string;
  again?: () => void;
}) => {
  const { code, message } = toOptaError(error);
  return (
    <div class="error-box" role="alert">
      <p class="error-title">{title}</p>
      <p>{message}</p>
      <p class="error-foot">
        <code>{code}</code>
        {again && (
          <Button small onClick={again}>
            Try again
          </Button>
        )}
      </p>
    </div>
  );
};

export const Loading = ({ what = 'Loading' }: { what?: string }) => (
  <p class="loading" role="status">
    <span class="ring ring-turning" aria-hidden="true" />
    {what} …
  </p>
);

import type { ButtonHTMLAttributes, ComponentChildren } from 'preact';
import { Icon, type IconName } from './icon.tsx';

interface ButtonProps extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'icon'> {
  kind?: 'plain' | 'primary' | 'danger' | 'quiet';
  small?: boolean;
  icon?: IconName;
  children?: ComponentChildren;
}

/** With an `icon` and no children it needs an `aria-label`. It becomes the tooltip, which is then its name: both would be said twice. */
export const Button = ({ kind = 'plain', small = false, icon, children, class: more, ...rest }: ButtonProps) => {
  const looks = ['button', `button-${kind}`, small && 'button-small', children === undefined && 'button-icon', more];
  const { 'aria-label': label, ...others } = rest;
  const named = children === undefined && rest.title === undefined ? { title: label } : { 'aria-label': label };
  return (
    <button type="button" {...others} {...named} class={looks.filter(Boolean).join(' ')}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
};

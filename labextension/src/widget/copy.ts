/** Copying text, also where a page that is not served securely has no clipboard. */

/** Copies `text`; resolves to whether it could. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.body.appendChild(document.createElement('textarea'));
    area.value = text;
    area.select();
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only way over plain HTTP
    const copied = document.execCommand('copy');
    area.remove();
    return copied;
  }
}

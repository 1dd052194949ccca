package crowd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Subcommand of the harness' own program that calls Generate.
const Subcommand = "generate"

// Crowd is a generator's process that has signed its tokens.
type Crowd struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// Gather starts a process and waits until it is ready. Go or Dismiss ends it.
func Gather(ctx context.Context, p Plan) (*Crowd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	plan, err := json.Marshal(p) //nolint:gosec // with the secret: only the generator reads it
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, Subcommand) //nolint:gosec // this program
	cmd.Stderr = os.Stderr
	c := &Crowd{cmd: cmd}
	if c.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err = cmd.Start(); err != nil {
		return nil, err
	}
	if _, err = c.in.Write(append(plan, '\n')); err == nil {
		var said string
		if said, err = c.out.ReadString('\n'); err == nil && said != ready {
			err = fmt.Errorf("the generator says %q", said)
		}
	}
	if err != nil {
		return nil, errors.Join(err, c.dismiss())
	}
	return c, nil
}

// Go has the crowd ask, and returns what it heard. The process has ended then.
func (c *Crowd) Go() (o Outcome, err error) {
	if _, err = io.WriteString(c.in, "go\n"); err == nil {
		err = json.NewDecoder(c.out).Decode(&o)
	}
	if err != nil {
		return o, errors.Join(fmt.Errorf("the generator: %w", err), c.dismiss())
	}
	return o, c.cmd.Wait()
}

// dismiss ends a crowd that has not asked: it leaves when its input ends.
func (c *Crowd) dismiss() error {
	return errors.Join(c.in.Close(), c.cmd.Wait())
}

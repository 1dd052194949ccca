package admission_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firstcome/firstcome/core/coupon"
)

func TestAReplayedHolderIsJournaledAgainWithTheGatesEpoch(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 10))
	at := time.Now().Truncate(time.Microsecond).UTC()
	s.rebuild(3, []coupon.Place{{CouponID: 7, UserID: "alice", Nth: 1, Seq: 4, AcceptedAt: at}}, sale(7, 10))
	out, err := s.desk.Replay(t.Context(), 7, "alice", "")
	require.NoError(t, err)
	require.True(t, out.Again)
	require.Equal(t, coupon.Holder, out.Verdict)
	records := s.journal.all()
	require.Len(t, records, 1)
	require.EqualValues(t, 4, records[0].Seq)
	require.EqualValues(t, 3, records[0].Epoch)
	require.True(t, at.Equal(records[0].AcceptedAt))
	s.gate.set(func(g *tap) { require.Len(t, g.confirms, 1) })
}

func TestAReplayOfAUserWithoutAPlaceIsAnOrdinaryClaim(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 1))
	out, err := s.desk.Replay(t.Context(), 7, "alice", "")
	require.NoError(t, err)
	require.Equal(t, coupon.Admitted, out.Verdict)
	require.Len(t, s.journal.all(), 1)
	out, err = s.desk.Replay(t.Context(), 7, "bob", "")
	require.NoError(t, err)
	require.Equal(t, coupon.SoldOut, out.Verdict)
	require.Len(t, s.journal.all(), 1, "no place, no record")
}

func TestAReplayThatIsNotJournaledIsUnknown(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.close()
	s.publish(sale(7, 1))
	_, err := s.desk.Claim(t.Context(), 7, "alice", "")
	require.NoError(t, err)
	s.journal.set(func(j *journal) { j.fails = true })
	_, err = s.desk.Replay(t.Context(), 7, "alice", "")
	require.ErrorIs(t, err, errKafkaDown)
}
